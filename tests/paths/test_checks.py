"""Checks in a running Gantry: seen by administrators, run again by whoever takes a switch over, and on the loaded model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.people import Person
from support.tabby import Tabby, until
from system.running import Gantry

PAGE = "/admin/models_admin/check/"


@pytest.fixture
def slow_check(tabby: Tabby, admin: Person) -> Iterator[None]:
    """A check of beta-8B-Q5 that takes some seconds."""
    form = {
        "name": "Long",
        "enabled": "on",
        "before_serving": "on",
        "model": "beta-8B-Q5",
        "contains": "w150",
    }
    made = admin.post_form(f"{PAGE}add/", prompt="[[tokens=150 rate=40]]", **form)
    assert made.status_code == 302, made.text[:2000]
    yield
    found = re.search(rf'href="({PAGE}\d+)/change/', admin.get(f"{PAGE}?q=Long").text)
    assert found
    assert admin.post_form(f"{found[1]}/delete/", post="yes").status_code == 302


def told(page: Any) -> str:
    switch = page.backend["switch"] or {}
    return " ".join(line["text"] for line in switch.get("lines", []))


@pytest.mark.usefixtures("slow_check")
def test_whoever_takes_a_switch_over_in_mid_check_checks_again(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    with admin.watch() as page, alice.page() as chat:
        number = admin.start_switch("beta-8B-Q5")
        page.until(lambda each: "answers… 6 of 7" in told(each), "the checks")
        sent = chat.say("[[echo]]served")
        gantry.kill("worker")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 60)
        assert page.backend["last"]["state"] == "succeeded"
        assert chat.answered(sent)["model"] == "beta-8B-Q5"
    until(lambda: not tabby.state()["generations"], "the end of all streams")
    history = admin.get(f"/admin/models_admin/switch/{number}/change/").text
    assert history.count("<th>Long</th>") == 1, "what the dead worker had is not kept"
    asked = [each for each in tabby.chats() if "tokens=150" in str(each["body"]["messages"])]
    assert [each["outcome"] for each in asked] == ["disconnected", "completed"]


def test_a_fault_is_caught_before_anybody_is_served(tabby: Tabby, admin: Person, alice: Person) -> None:
    broken = {"name": "beta-8B-Q5", "modules": 4, "seconds_per_module": 0.01, "flaw": "template"}
    tabby.state(add_models=[broken])
    with alice.page() as chat:
        number = admin.start_switch("beta-8B-Q5")
        reply = chat.answered(chat.say("[[echo]]who is it?"))
        until(lambda: admin.switch_row(number)["finished_at"], "the end of the switch")
    row = admin.switch_row(number)
    assert (row["state"], row["error_kind"], row["result"]) == ("failed", "check_failed", "alpha-7B")
    assert reply["model"] == "alpha-7B"
    assert "The check “No marks of a template” failed" in row["error"]


def test_all_checks_run_on_the_loaded_model_while_it_serves(tabby: Tabby, admin: Person) -> None:
    assert admin.post_form(f"{PAGE}run/").status_code == 302
    runs = "/admin/models_admin/checkrun/?q=alpha-7B&kind__exact=now"
    until(lambda: "Passed" in admin.get(runs).text, "the run")
    assert tabby.log("/v1/model/load") == []
