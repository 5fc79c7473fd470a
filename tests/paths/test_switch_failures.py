"""A switch that fails ends where it began, says why in TabbyAPI's words, and never claims success."""

from __future__ import annotations

from typing import Any

import pytest
from support.people import Person
from support.tabby import Tabby


def failed_switch(admin: Person, model: str) -> dict[str, Any]:
    """Switch to `model`; return the switch as the socket told of it once it had ended."""
    with admin.watch() as page:
        number = admin.start_switch(model)
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        switch: dict[str, Any] = page.backend["last"]
        assert page.backend["state"] == ("ready" if switch["result"] else "unloaded")
        assert page.backend["model"] == switch["result"]
    return switch


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("huge-70B", "out_of_memory", "CUDA out of memory"),
        ("broken-7B", "files_broken", "MetadataIncompleteBuffer"),
    ],
)
def test_a_load_that_fails_brings_the_previous_model_back(
    tabby: Tabby, admin: Person, model: str, kind: str, words: str
) -> None:
    switch = failed_switch(admin, model)
    assert (switch["state"], switch["error_kind"], switch["result"]) == ("failed", kind, "alpha-7B")
    assert words in switch["error"]
    assert switch["advice"]
    assert switch["lines"][-1]["text"] == "Rolled back: alpha-7B is loaded again"
    assert tabby.state()["loaded"] == "alpha-7B"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "finished_then_error"}, "load_failed"),
        ({"kind": "empty"}, None),
        ({"kind": "garbage", "at": 3}, "garbled"),
        ({"kind": "html", "status": 200}, "garbled"),
        ({"kind": "status", "status": 500, "body": "Internal Server Error"}, "server_fault"),
        (
            {"kind": "status", "status": 400, "message": "Could not find the model path for load."},
            "model_missing",
        ),
        ({"kind": "hang", "at": 5, "seconds": 4}, "timed_out"),
    ],
)
def test_a_lying_or_silent_load_is_no_success(
    tabby: Tabby, admin: Person, fault: dict[str, Any], kind: str | None
) -> None:
    tabby.fault("load", **fault)
    switch = failed_switch(admin, "beta-8B-Q5")
    # An empty stream is a load that has not happened, or one that goes on: what TabbyAPI names in the end decides.
    if switch["state"] == "succeeded":
        assert kind is None
        assert tabby.state()["loaded"] == "beta-8B-Q5"
        return
    assert switch["state"] == "failed"
    assert kind is None or switch["error_kind"] == kind
    assert (tabby.state()["loaded"] or "") == switch["result"]


def test_pings_are_no_progress(tabby: Tabby, admin: Person) -> None:
    tabby.fault("load", "hang", at=4, seconds=4)
    switch = failed_switch(admin, "beta-8B-Q5")
    assert switch["error_kind"] == "timed_out"
    assert "no progress" in switch["error"]
    assert switch["result"] == "alpha-7B"


def test_a_load_whose_connection_breaks_is_joined(tabby: Tabby, admin: Person) -> None:
    tabby.fault("load", "abrupt", at=4)
    answer = admin.switch("beta-8B-Q5")
    assert answer.status_code == 200
    assert tabby.state()["loaded"] == "beta-8B-Q5"


def test_phases_make_one_rising_percentage(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("gamma-VL-7B")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end")
    percents = [
        b["switch"]["percent"] for b in page.backends if (b["switch"] or {}).get("state") == "loading"
    ]
    assert percents == sorted(percents)
    assert page.backend["last"]["state"] == "succeeded"


def test_a_model_that_does_not_answer_is_not_accepted(tabby: Tabby, admin: Person) -> None:
    tabby.fault("chat", "status", status=500, body="Internal Server Error")
    switch = failed_switch(admin, "beta-8B-Q5")
    assert switch["error_kind"] == "server_fault"
    assert tabby.state()["loaded"] == "alpha-7B"


def test_when_going_back_fails_too_nothing_is_said_to_be_loaded(tabby: Tabby, admin: Person) -> None:
    tabby.fault("load", "oom", at=3, times=2)
    switch = failed_switch(admin, "beta-8B-Q5")
    assert switch["result"] == ""
    assert "Going back to alpha-7B failed too" in switch["error"]
    assert switch["lines"][-1]["text"] == "No model is loaded now"
    assert tabby.state()["loaded"] is None


def test_when_going_back_fails_what_stays_is_told_with_its_options(tabby: Tabby, admin: Person) -> None:
    tabby.fault("chat", "status", status=500, body="Internal Server Error")
    tabby.fault("load", "status", status=400, message="It is not there.", model="alpha-7B")
    with admin.watch() as page:
        body = {"model_id": "beta-8B-Q5", "options": {"cache_mode": "Q8"}}
        assert admin.call("POST", "/api/admin/models/switch", body).status_code == 502
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "what stays")
        assert page.backend["options"] == {"cache_mode": "Q8"}
    assert tabby.state()["options"] == {"cache_mode": "Q8"}


@pytest.mark.parametrize("fails", ["the load", "the check"])
def test_a_load_that_has_ended_is_no_longer_under_way(tabby: Tabby, admin: Person, fails: str) -> None:
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200
    if fails == "the check":
        tabby.fault("chat", "status", status=500, body="Internal Server Error")
    switch = failed_switch(admin, "beta-8B-Q5" if fails == "the check" else "huge-70B")
    assert switch["result"] == ""
    with admin.watch() as page:
        assert page.backend["busy_with"] == ""


def test_an_unreachable_tabbyapi_is_told_and_nothing_is_touched(tabby: Tabby, admin: Person) -> None:
    tabby.fault("permission", "drop", times=-1)  # whoever else asks for it meanwhile
    answer = admin.switch("beta-8B-Q5")
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("Failed to switch model. Is TabbyAPI available?")
    assert tabby.log("/v1/model/unload") == []
    assert tabby.state()["loaded"] == "alpha-7B"


def test_an_unload_that_fails_is_no_success(tabby: Tabby, admin: Person) -> None:
    tabby.fault("unload", "status", status=500, body="Internal Server Error")
    answer = admin.call("POST", "/api/admin/models/unload")
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("Failed to unload model. Is TabbyAPI available?")
    assert tabby.state()["loaded"] == "alpha-7B"


def test_a_switch_to_the_loaded_model_changes_nothing(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page:
        sent = page.say("[[tokens=60 rate=60]]")
        page.answered(sent, ("streaming",))
        assert admin.switch("alpha-7B").status_code == 200
        reply = page.answered(sent)
    assert reply["status"] == "complete"
    assert reply["handovers"] == []
    assert tabby.log("/v1/model/unload") == []


def test_a_load_that_somebody_else_overtakes_is_told_and_not_undone(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        page.until(lambda each: (each.backend["switch"] or {}).get("percent", 0) > 5, "the load")
        tabby.fault("model", "garbage", times=-1, body='{"id": "gamma-VL-7B", "parameters": {}}')
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
    assert page.backend["last"]["state"] == "failed"
    assert page.backend["last"]["error_kind"] == "changed_outside"
    assert "gamma-VL-7B" in page.backend["last"]["error"]
