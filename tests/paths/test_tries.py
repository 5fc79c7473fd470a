"""A model is tried out, by API, command and admin site, while people go on chatting."""

from __future__ import annotations

import json
import re

import pytest
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

pytestmark = pytest.mark.database
TRY = "/api/admin/models/try"


@pytest.fixture
def models(tabby: Tabby) -> Tabby:
    """A good model, and one that ends its answers with marks of a template."""
    flawed = {"name": "flawed-8B", "modules": 2, "seconds_per_module": 0.01, "flaw": "template"}
    tabby.state(add_models=[flawed])
    return tabby


def test_by_api_while_somebody_chats(gantry: Gantry, admin: Person, alice: Person, models: Tabby) -> None:
    with alice.page() as page:
        answer = admin.call("POST", TRY, {"model_id": "beta-8B-Q5"}, Prefer="respond-async")
        assert answer.status_code == 202
        page.until(lambda each: (each.backend["switch"] or {}).get("state") == "loading", "the load")
        reply = page.answered(page.say("[[echo]]Still there?"))
        assert (reply["status"], reply["text"], reply["model"]) == ("complete", "Still there?", "alpha-7B")
        tries = [each["switch"] for each in page.backends if each["switch"]]
        assert {len(each["tried"]) for each in tries} == {0}, "what came of checks is for administrators"
    place = answer.headers["Location"]
    until(lambda: admin.call("GET", place).json()["finished_at"], "the end")
    ended = admin.call("GET", place).json()
    assert (ended["state"], ended["result"]) == ("succeeded", "alpha-7B")
    assert {each["verdict"] for each in ended["tried"]} == {"passed"}
    assert models.state()["loaded"] == "alpha-7B"

    manage(gantry, "refresh_models").check_returncode()
    answer = admin.call("POST", TRY, {"model_id": "flawed-8B"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["message"].startswith("flawed-8B was tried: ")
    failed = [each for each in told["checks"] if each["verdict"] == "failed"]
    assert "No marks of a template" in [each["name"] for each in failed]
    assert all(each["why"] for each in failed)
    assert models.state()["loaded"] == "alpha-7B"

    assert admin.call("POST", TRY, {"model_id": "nothing"}).status_code == 404
    assert admin.call("POST", TRY, {"model_id": "../x"}).status_code == 400
    assert alice.call("POST", TRY, {"model_id": "beta-8B-Q5"}).status_code == 403


def test_by_command_with_an_honest_exit_status(gantry: Gantry, models: Tabby) -> None:
    done = manage(gantry, "switch_model", "beta-8B-Q5", "--try")
    assert done.returncode == 0, done.stderr
    assert "✓ beta-8B-Q5 was tried: 6 of 6 checks held" in done.stdout
    manage(gantry, "refresh_models").check_returncode()
    done = manage(gantry, "switch_model", "flawed-8B", "--try", "--json")
    assert done.returncode == 3, done.stdout
    last = json.loads(done.stdout.splitlines()[-1])
    assert "failed" in {each["verdict"] for each in last["tried"]}
    assert manage(gantry, "switch_model", "--try").returncode == 2
    assert manage(gantry, "switch_model", "beta-8B-Q5", "--try", "--no-checks").returncode == 2
    assert models.state()["loaded"] == "alpha-7B"


def test_by_the_button_of_the_admin_site(admin: Person, models: Tabby) -> None:
    page = admin.get("/admin/models_admin/tabbymodel/").text
    links = re.findall(r'href="([^"]*/[0-9]+/switch/)"', page)
    confirm = next(link for link in links if "beta-8B-Q5</strong>" in admin.get(link).text)
    button = re.search(r'formaction="([^"]+/try/)"', admin.get(confirm).text)
    assert button
    loads = len(models.log("/v1/model/load"))
    assert admin.get(button[1]).headers["Location"] == confirm, "nothing is changed by a look"
    admin.post_form(button[1], drain_seconds="much")
    assert (
        "Nothing was changed. Replies in flight may take" in admin.get("/admin/models_admin/tabbymodel/").text
    )
    assert len(models.log("/v1/model/load")) == loads
    admin.post_form(button[1], drain_seconds="0")
    until(lambda: len(models.log("/v1/model/load")) == loads + 2, "there and back")
    until(
        lambda: (
            "beta-8B-Q5 was tried: 6 of 6 checks held" in admin.get("/admin/models_admin/tabbymodel/").text
        ),
        "the end",
    )
    assert models.state()["loaded"] == "alpha-7B"
