"""Checks in a running Gantry: seen by administrators, run again by whoever takes a switch over, and on the loaded model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support import flawed
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

from tabby_sandbox.flaws import FLAWS

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


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_fault_is_caught_before_anybody_is_served(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person, flaw: str
) -> None:
    name = f"{flaw}-8B"
    good = {"name": name, "modules": 4, "seconds_per_module": 0.01, "tool_format": True, "plain_rate": 100.0}
    tabby.state(add_models=[good])
    manage(gantry, "refresh_models").check_returncode()
    if own := flawed.CHECKS.get(flaw):
        form = {"name": f"Own of {flaw}", "enabled": "on", "before_serving": "on", "model": name}
        given = {field: each if isinstance(each, str) else json.dumps(each) for field, each in own.items()}
        made = admin.post_form(f"{PAGE}add/", **form, **given)
        assert made.status_code == 302, re.findall(r"errorlist.*?</ul>", made.text, re.DOTALL)
    for _ in range(2 if flaw == "slow" else 1):  # twice, to have a past
        for model in (name, "alpha-7B"):
            answer = admin.switch(model)
            assert answer.status_code == 200, answer.text
    tabby.state(add_models=[{**good, "flaw": flaw}])
    with alice.page() as chat:
        number = admin.start_switch(name)
        reply = chat.answered(chat.say("[[echo]]who is it?"))
        until(lambda: admin.switch_row(number)["finished_at"], "the end of the switch")
    row = admin.switch_row(number)
    assert (row["state"], row["result"], tabby.state()["loaded"]) == ("failed", "alpha-7B", "alpha-7B")
    assert reply["model"] == "alpha-7B"
    if flaw != "empty":  # the one token that is asked for first shows that
        assert (row["error_kind"], "The check “" in row["error"]) == ("check_failed", True)


def test_all_checks_run_on_the_loaded_model_while_it_serves(tabby: Tabby, admin: Person) -> None:
    assert admin.post_form(f"{PAGE}run/").status_code == 302
    runs = "/admin/models_admin/checkrun/?q=alpha-7B&kind__exact=now"
    until(lambda: "Passed" in admin.get(runs).text, "the run")
    assert tabby.log("/v1/model/load") == []
