"""Two servers that are changed one after the other: by API, command and admin site, with workers that die."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.people import Person
from support.system import PASSWORD, QUICK, manage
from support.tabby import Tabby, until
from system.running import Gantry

MODELS = [
    {"name": "alpha-7B", "modules": 4, "seconds_per_module": 0.01},
    {"name": "beta-8B", "modules": 4, "seconds_per_module": 0.01},
    {"name": "slow-13B", "modules": 40, "seconds_per_module": 0.1},
    {"name": "huge-70B", "modules": 4, "seconds_per_module": 0.01, "oom_at": 2},
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gantry]:
    """`manage.py up` with two sandboxes."""
    folder = tmp_path_factory.mktemp("pair")
    with Gantry(folder, SANDBOXES="2", GANTRY_ADMIN_PASSWORD=PASSWORD, **QUICK) as process:
        yield process
        process.end()


@pytest.fixture(scope="module")
def boss(pair: Gantry) -> Person:
    return Person(pair.url, "admin", PASSWORD)


@pytest.fixture
def gpus(pair: Gantry, boss: Person) -> list[Tabby]:
    """The sandboxes, each with alpha-7B loaded, and Gantry knows it."""
    named = (pair.folder / "run" / "tabby_host").read_text().strip().split(",")
    assert [each.split("=")[0] for each in named] == ["gpu1", "gpu2"]
    found = [Tabby(each.split("=")[1]) for each in named]
    for each in found:
        each.no_faults()
        each.state(models=MODELS, loaded="alpha-7B")
    boss.post_form("/admin/models_admin/tabbymodel/refresh/")
    manage(pair, "refresh_models").check_returncode()
    with boss.watch() as page:  # it may just have been started, or killed
        page.until(lambda each: each.backend["worker"], "a worker")
    boss.call("POST", "/api/admin/models/switch", {"model_id": "alpha-7B"}).raise_for_status()
    return found


def loaded(gpus: list[Tabby]) -> list[str]:
    return [each.state()["loaded"] for each in gpus]


def begun(boss: Person, model: str, **how: Any) -> str:
    """Begin a rollout; return where it is followed."""
    answer = boss.call("POST", "/api/admin/models/switch", {"model_id": model, **how}, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    place = answer.headers["Location"]
    assert "/rollouts/" in place
    return place


def followed(boss: Person, place: str) -> list[dict[str, Any]]:
    """All that the events of a rollout tell, to its end."""
    cookie = {"Cookie": f"session_id={boss.cookie}"}
    with requests.get(f"{boss.url}{place}/events", headers=cookie, stream=True, timeout=60) as stream:
        assert stream.status_code == 200, stream.text
        lines = [line for line in stream.iter_lines() if line.startswith(b"data: ")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def test_one_answer_when_all_are_changed(gpus: list[Tabby], boss: Person) -> None:
    answer = boss.call("POST", "/api/admin/models/switch", {"model_id": "beta-8B"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"message": "Model switched to beta-8B", "model_id": "beta-8B"},
    )
    assert loaded(gpus) == ["beta-8B", "beta-8B"]
    answer = boss.call("POST", "/api/admin/models/unload")
    assert answer.json() == {"message": "Model unloaded successfully"}
    assert loaded(gpus) == [None, None]


def test_its_events_tell_one_percentage_and_a_line_for_each(gpus: list[Tabby], boss: Person) -> None:
    told = followed(boss, begun(boss, "slow-13B"))
    percents = [each["percent"] for each in told]
    assert percents == sorted(percents)
    assert (percents[-1], told[-1]["state"]) == (100, "succeeded")
    assert len(set(percents)) > 10
    lines = [[line["text"] for line in each["lines"]] for each in told]
    assert any(
        each[0].startswith("gpu1: loading slow-13B… ") and each[1] == "gpu2: waits for its turn"
        for each in lines
    )
    assert any(
        each[0] == "✓ gpu1: slow-13B is loaded" and each[1].startswith("gpu2: loading") for each in lines
    )
    first, second = ([row["at"] for row in each.log("/v1/model/load")][-1] for each in gpus)
    assert second - first > 4, "the second load began before the first had ended"


def test_people_are_answered_all_the_while(gpus: list[Tabby], boss: Person) -> None:
    with boss.page() as page, boss.page() as another:
        page.until(lambda each: each.backend["model"] == "alpha-7B", "the old model")
        long = another.say("[[tokens=400 rate=30]]")  # longer than the whole rollout
        another.answered(long, ("streaming",))
        place, answered = begun(boss, "slow-13B"), 0
        seen = len(page.backends)
        while boss.call("GET", place).json()["state"] == "running":
            reply = page.answered(page.say("[[echo]]still there"))
            assert (reply["status"], reply["text"]) == ("complete", "still there")
            answered += 1
        assert answered > 10
        assert {each["state"] for each in page.backends[seen:]} == {"ready"}, "nobody need notice"
        reply = another.answered(long)
        assert (reply["status"], reply["text"]) == ("complete", "".join(f" w{n}" for n in range(1, 401)))
    assert loaded(gpus) == ["slow-13B", "slow-13B"]


def test_the_first_failure_ends_it(gpus: list[Tabby], boss: Person) -> None:
    answer = boss.call("POST", "/api/admin/models/switch", {"model_id": "huge-70B"})
    assert answer.status_code == 502
    detail = answer.json()["detail"]
    assert detail.startswith("Failed to switch model. Is TabbyAPI available?")
    assert "gpu1: huge-70B does not fit" in detail
    assert loaded(gpus) == ["alpha-7B", "alpha-7B"]
    assert not [row for row in gpus[1].log("/v1/model/load") if row["body"]["model_name"] == "huge-70B"]


def test_a_worker_that_dies_between_two_servers_is_followed_by_another(
    gpus: list[Tabby], pair: Gantry, boss: Person
) -> None:
    place = begun(boss, "slow-13B")
    until(lambda: boss.call("GET", place).json()["percent"] > 20, "the first load")
    pair.kill("worker")
    until(lambda: boss.call("GET", place).json()["servers"][1]["state"] == "loading", "the second load")
    pair.kill("worker")
    until(lambda: boss.call("GET", place).json()["state"] == "succeeded", "the end")
    assert loaded(gpus) == ["slow-13B", "slow-13B"]


def test_cancelling_leads_back_if_that_is_asked_for(gpus: list[Tabby], boss: Person) -> None:
    place = begun(boss, "slow-13B")
    until(lambda: boss.call("GET", place).json()["servers"][1]["state"] == "loading", "the second load")
    answer = boss.call("DELETE", f"{place}?go_back=true")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (200, True)
    until(lambda: boss.call("GET", place).json()["state"] == "cancelled", "the end")
    assert loaded(gpus) == ["alpha-7B", "alpha-7B"]
    assert boss.call("DELETE", place).status_code == 409
    assert boss.call("GET", "/api/admin/rollouts/987654321").status_code == 404


def test_the_command_shows_each_server_and_changes_one_alone(
    gpus: list[Tabby], pair: Gantry, boss: Person
) -> None:
    done = manage(pair, "switch_model", "beta-8B")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "✓ Model switched successfully!"
    assert [line for line in lines if line.startswith("✓ gpu")] == [
        "✓ gpu1: beta-8B is loaded",
        "✓ gpu2: beta-8B is loaded",
    ]
    done = manage(pair, "switch_model", "alpha-7B", "--server", "gpu2")
    assert done.returncode == 0, done.stderr
    assert loaded(gpus) == ["beta-8B", "alpha-7B"]
    done = manage(pair, "switch_model", "alpha-7B", "--server", "gpu9")
    assert done.returncode == 1
    assert "There is no server “gpu9”. There are: gpu1, gpu2." in done.stderr
    answer = boss.call("POST", "/api/admin/models/switch", {"model_id": "alpha-7B", "servers": ["gpu9"]})
    assert answer.status_code == 400
    done = manage(pair, "switch_model", "huge-70B")
    assert done.returncode == 1
    assert "✗ gpu1: huge-70B does not fit" in done.stderr


def test_the_admin_site_offers_the_servers(gpus: list[Tabby], boss: Person) -> None:
    page = boss.get("/admin/models_admin/tabbymodel/").text
    links = re.findall(r'href="([^"]*/[0-9]+/switch/)"', page)
    confirm = next(link for link in links if "beta-8B" in boss.get(link).text)
    assert boss.get(confirm).text.count('name="server"') == 2
    boss.post_form(confirm, server="gpu2")
    until(lambda: loaded(gpus) == ["alpha-7B", "beta-8B"], "the switch")
