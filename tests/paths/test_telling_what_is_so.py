"""A server that is broken in a way of its own: what is so is said, wherever people look, and what helps."""

from __future__ import annotations

import json
from typing import Any

import requests
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

MODELS_PAGE = "/admin/models_admin/tabbymodel/"


def examined(gantry: Gantry) -> tuple[int, dict[str, dict[str, str]]]:
    """doctor's exit status, and its findings by id."""
    done = manage(gantry, "doctor", "--json")
    return done.returncode, {each["id"]: each for each in json.loads(done.stdout)["findings"]}


def ready(gantry: Gantry) -> dict[str, Any]:
    checks: dict[str, Any] = requests.get(f"{gantry.url}/readyz", timeout=30).json()["checks"]
    return checks


def ended(admin: Person, number: int) -> dict[str, object]:
    def row() -> dict[str, object] | None:
        found = admin.switch_row(number)
        return found if found["finished_at"] else None

    found: dict[str, object] = until(row, "the end of the switch")
    return found


def test_a_server_that_refuses_streams_is_no_success(tabby: Tabby, admin: Person) -> None:
    tabby.state(disable_request_streaming=True)
    switch = ended(admin, admin.start_switch("beta-8B-Q5"))
    assert switch["state"] == "failed"
    assert "does not stream" in str(switch["error"])
    assert "disable_request_streaming" in str(switch["advice"])


def test_that_nothing_is_loaded_is_not_said_where_nobody_answers(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        page.until(lambda each: (each.backend["switch"] or {}).get("percent", 0) > 5, "the load")
        tabby.fault("any", "drop", times=-1)
        tabby.state(restart=True)
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        assert page.backend["state"] == "unreachable"
    switch = page.backend["last"]
    unknown = "Whether a model is loaded is not known, because TabbyAPI does not answer."
    assert (switch["state"], switch["result"], switch["standing"]) == ("failed", None, unknown)
    told = admin.get("/admin/models_admin/tabbymodel/").text
    assert unknown.rstrip(".") in told
    assert "No model is loaded" not in told
    assert "TabbyAPI cannot be reached" in told


def test_a_crashed_engine_is_told_on_pages_readyz_and_by_doctor(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    """Nobody asks for anything: it is learned by the look that comes every few seconds."""
    with admin.watch() as page, alice.watch() as chat:
        asked = len(tabby.log("/v1/models"))
        tabby.state(issues=["RuntimeError: CUDA error: an illegal memory access was encountered"])
        page.until(lambda each: not each.backend["healthy"], "the news")
        assert len(tabby.log("/v1/models")) - asked <= 4, "not only with the catalog"
        (finding,) = [each for each in page.backend["findings"] if each["id"] == "health"]
        assert finding["level"] == "error"
        chat.until(lambda each: not each.backend["healthy"], "the news for people who chat")
        assert chat.backend["findings"] == []
    until(lambda: not ready(gantry)["tabbyapi"]["ok"], "readyz")
    assert ready(gantry)["tabbyapi"]["says"] == "TabbyAPI's engine has failed"
    told = admin.get(MODELS_PAGE).text
    assert (
        "TabbyAPI&#x27;s engine has failed. RuntimeError: CUDA error: an illegal memory access was encountered."
        in told
    )
    assert "alpha-7B is loaded, but may not answer" in told
    assert "TabbyAPI&#x27;s engine has failed" in admin.get("/admin/").text
    status, found = examined(gantry)
    assert (status, found["health"]["level"], found["models"]["level"]) == (1, "error", "ok")
    with admin.watch() as page:
        tabby.state(issues=[])
        page.until(lambda each: each.backend["healthy"], "the end of it")
    until(lambda: ready(gantry)["tabbyapi"]["ok"], "readyz")


def test_a_server_that_goes_away_is_noticed_although_nobody_asks(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        for on in ("health", "model"):
            tabby.fault(on, "drop", times=-1)
        page.until(lambda each: each.backend["state"] == "unreachable", "the trouble")
        assert page.backend["trouble"].endswith(".")
        tabby.no_faults()
        page.until(lambda each: each.backend["state"] == "ready", "the recovery")


def test_a_renamed_model_that_is_loaded_is_told(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    with admin.watch() as page:
        tabby.state(add_models=["alpha-7B-v2"], remove_models=["alpha-7B"])
        admin.post_form(f"{MODELS_PAGE}refresh/")
        page.until(lambda each: "renamed" in [f["id"] for f in each.backend["findings"]], "the finding")
        assert (page.backend["state"], page.backend["model"]) == ("ready", "alpha-7B")
    told = admin.get(MODELS_PAGE).text
    assert "alpha-7B is loaded, but TabbyAPI no longer lists it." in told
    status, found = examined(gantry)
    assert (status, found["renamed"]["level"]) == (0, "warning")
    number = next(
        each for each in range(1, 500) if "beta-8B-Q5" in admin.get(f"{MODELS_PAGE}{each}/switch/").text
    )
    asked = admin.get(f"{MODELS_PAGE}{number}/switch/").text
    assert "If this fails, alpha-7B cannot be loaded again: TabbyAPI no longer lists it." in asked


def test_a_model_without_a_template_is_no_success_and_says_what_to_do(tabby: Tabby, admin: Person) -> None:
    model = {"name": "bare-7B", "modules": 4, "seconds_per_module": 0.01, "prompt_template": ""}
    tabby.state(add_models=[model])
    admin.post_form(f"{MODELS_PAGE}refresh/")
    switch = ended(admin, admin.start_switch("bare-7B"))
    assert (switch["state"], switch["error_kind"], switch["result"]) == ("failed", "no_template", "alpha-7B")
    assert "has no chat template" in str(switch["error"])
    assert "prompt_template" in str(switch["advice"])
    body = {"model_id": "bare-7B", "options": {"prompt_template": "chatml"}}
    assert admin.call("POST", "/api/admin/models/switch", body).status_code == 200


def test_a_template_that_is_taken_away_is_told_to_everybody(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    with admin.watch() as page:
        key = {"Authorization": "Bearer the-admin-key-of-the-tests"}
        requests.post(f"{tabby.url}/v1/template/unload", headers=key, timeout=10).raise_for_status()
        page.until(lambda each: each.backend["parameters"].get("prompt_template") == "", "the change")
        assert [each["kind"] for each in page.backend["differences"]] == ["missing"]
    assert "It has no chat template, so it cannot chat." in admin.get(MODELS_PAGE).text
    _, found = examined(gantry)
    assert found["template"]["title"] == "alpha-7B cannot chat"
    with alice.page() as page:
        reply = page.answered(page.say("Hello?"))
    assert reply["status"] == "failed"
    assert "has no chat template" in reply["error"]
    assert "prompt_template" in reply["error"]


def test_a_proxys_own_503_says_nothing_of_a_model(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        for on in ("model", "chat"):
            tabby.fault(on, "html", status=503, times=-1)
        admin.post_form(f"{MODELS_PAGE}refresh/")
        page.until(lambda each: each.backend["state"] == "unreachable", "the trouble")
        assert page.backend["model"] == "alpha-7B"
    assert "No model is loaded" not in admin.get(MODELS_PAGE).text
