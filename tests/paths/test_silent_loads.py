"""TabbyAPI is silent while a load waits for another: for the one that it joins, or for one that was given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.page import Page
from support.people import Person
from support.system import QUICK
from support.tabby import Tabby, until
from system.running import Gantry

TIMEOUT = float(QUICK["SWITCH_TIMEOUT"])


def ask(admin: Person, model: str, **options: Any) -> int:
    """Ask for a switch; return its number."""
    body = {"model_id": model, "options": options}
    answer = admin.call("POST", "/api/admin/models/switch", body, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])


def begin(admin: Person, page: Page, model: str, **options: Any) -> int:
    """Ask for a switch; return its number when its load shows progress."""
    number = ask(admin, model, **options)
    page.until(lambda each: (each.backend["switch"] or {}).get("percent", 0) > 5, "the load")
    return number


def ended(page: Page, number: int) -> dict[str, Any]:
    """Wait for the end of the switch; return it."""
    page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 90)
    last: dict[str, Any] = page.backend["last"]
    return last


def says(words: str) -> Callable[[Page], bool]:
    """Whether the switch under way has a line with these words."""

    def check(page: Page) -> bool:
        return any(words in line["text"] for line in (page.backend["switch"] or {}).get("lines", []))

    return check


def silent(tabby: Tabby, requests: int) -> None:
    """Wait until TabbyAPI has so many loads, the last of which has been silent for longer than SWITCH_TIMEOUT."""
    until(lambda: len(tabby.log("/v1/model/load")) >= requests, f"{requests} loads", 60)
    last = tabby.log("/v1/model/load")[requests - 1]
    until(lambda: time.time() > last["at"] + TIMEOUT + 1, "a long silence")
    last = tabby.log("/v1/model/load")[requests - 1]
    assert last["outcome"] == "running", "it was not waited for"
    assert last["events"] == []


@pytest.mark.parametrize("break_it", ["worker killed", "connection cut"])
def test_a_load_that_is_joined_is_waited_for(
    tabby: Tabby, gantry: Gantry, admin: Person, break_it: str
) -> None:
    tabby.state(seconds_per_module={"slow-13B": 1.0})
    if break_it == "connection cut":
        tabby.fault("load", "abrupt", at=4)
    with admin.watch() as page:
        number = begin(admin, page, "slow-13B")
        if break_it == "worker killed":
            gantry.kill("worker")
        silent(tabby, 2)
        page.until(says("TabbyAPI shows no progress"), "the reason")
        tabby.state(seconds_per_module={"slow-13B": 0.0})
        assert ended(page, number)["state"] == "succeeded"
    assert tabby.state()["loaded"] == "slow-13B"
    assert len(tabby.log("/v1/model/load")) == 2
    assert len(tabby.log("/v1/model/unload")) == 1


def test_a_load_that_begins_anew_in_a_restarted_tabbyapi_has_its_silence_limited(
    tabby: Tabby, admin: Person
) -> None:
    with admin.watch() as page:
        number = begin(admin, page, "slow-13B")
        tabby.fault("load", "hang", at=3, seconds=6)
        tabby.state(restart=True)
        last = ended(page, number)
    assert (last["state"], last["error_kind"], last["result"]) == ("failed", "timed_out", "alpha-7B")
    assert "no progress" in last["error"]


def test_a_way_back_behind_a_load_that_was_given_up_is_waited_for(tabby: Tabby, admin: Person) -> None:
    tabby.fault("load", "hang", at=10)
    with admin.watch() as page:
        number = begin(admin, page, "slow-13B")
        silent(tabby, 2)
        page.until(says("TabbyAPI is still busy with slow-13B"), "the reason")
        tabby.no_faults()
        last = ended(page, number)
    assert (last["state"], last["error_kind"], last["result"]) == ("failed", "timed_out", "alpha-7B")
    assert tabby.state()["loaded"] == "alpha-7B"


def test_a_load_that_was_given_up_is_told_of_and_credited_to_its_switch(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200
    tabby.fault("load", "hang", at=10)
    with admin.watch() as page:
        number = begin(admin, page, "slow-13B")
        last = ended(page, number)
        assert (last["state"], last["error_kind"], last["result"]) == ("failed", "timed_out", "")
        assert page.backend["busy_with"] == "slow-13B"
        assert "TabbyAPI is still busy with slow-13B" in admin.get("/admin/models_admin/tabbymodel/").text
        assert alice.call("GET", "/api/models/active").json()["busy_with"] == "slow-13B"
        tabby.no_faults()
        page.until(lambda each: each.backend["model"] == "slow-13B", "the load that was given up")
        last = page.backend["last"]
        assert (last["source"], last["target"], last["state"], last["by"]) == (
            "late", "slow-13B", "succeeded", "admin"
        )  # fmt: skip
        assert f"switch {number} had asked for it" in last["lines"][0]["text"]
        assert page.backend["busy_with"] == ""
    assert "loaded after all" in admin.switch_row(number)["lines"][-1]["text"]
    assert "loaded after all" in admin.get("/admin/models_admin/tabbymodel/").text
    assert f"/switch/{number}/" in admin.get(f"/admin/models_admin/switch/{last['id']}/change/").text
    rows = admin.call("GET", "/api/admin/switches").json()["switches"]
    since = [each for each in rows if each["id"] > number]
    assert [each["source"] for each in since] == ["late"], "it was taken for somebody else's"
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200


@pytest.mark.parametrize("worker", ["lives", "dies"])
def test_a_load_that_was_given_up_is_not_taken_for_one_of_the_same_model_with_other_options(
    tabby: Tabby, gantry: Gantry, admin: Person, worker: str
) -> None:
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200
    tabby.fault("load", "hang", at=10)
    with admin.watch() as page:
        ended(page, begin(admin, page, "slow-13B", cache_mode="Q8"))
        number = ask(admin, "slow-13B", cache_mode="Q4")
        page.until(says("TabbyAPI is still busy with slow-13B"), "the reason")
        if worker == "dies":
            gantry.kill("worker")
        tabby.no_faults()
        assert ended(page, number)["state"] == "succeeded"
        assert page.backend["options"] == {"cache_mode": "Q4"}
    assert tabby.state()["options"] == {"cache_mode": "Q4"}


def with_options(tabby: Tabby, admin: Person, page: Page, cache_mode: str) -> None:
    """Have alpha-7B loaded with this cache mode, and see that it is."""
    body = {"model_id": "alpha-7B", "options": {"cache_mode": cache_mode}}
    answer = admin.call("POST", "/api/admin/models/switch", body)
    assert answer.status_code == 200, answer.text
    page.until(lambda each: each.backend["options"] == {"cache_mode": cache_mode}, "the options")
    assert tabby.state()["options"] == {"cache_mode": cache_mode}


@pytest.mark.parametrize("fails", ["after the load", "before its end"])
def test_a_failed_switch_to_the_same_model_goes_back_to_the_options_that_it_had(
    tabby: Tabby, admin: Person, alice: Person, fails: str
) -> None:
    with admin.watch() as page:
        with_options(tabby, admin, page, "Q8")
        before = len(tabby.log("/v1/model/load"))
        if fails == "after the load":
            tabby.fault("chat", "status", status=500, body="it requires 2304 cache tokens")
        else:
            tabby.state(seconds_per_module={"alpha-7B": 0.2})
            tabby.fault("load", "hang", at=5)
        number = ask(admin, "alpha-7B", cache_mode="Q4")
        if fails == "before its end":  # it was given up, and takes effect all the same
            silent(tabby, before + 2)
            tabby.state(seconds_per_module={"alpha-7B": 0.01})
            tabby.no_faults()
        last = ended(page, number)
        assert (last["state"], last["result"]) == ("failed", "alpha-7B")
        assert tabby.state()["options"] == {"cache_mode": "Q8"}
        assert page.backend["options"] == {"cache_mode": "Q8"}
        with alice.page() as chat:
            assert chat.answered(chat.say("[[echo]]hello"))["text"] == "hello"
        with_options(tabby, admin, page, "Q4")
