"""Automation rules through every process: made in the admin site, followed by beat and a worker, told by the history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.people import Person
from support.system import PASSWORD, QUICK
from support.tabby import ADMIN_KEY, Tabby, running, until
from system.running import Gantry

RULES = "/admin/models_admin/rule/"
EVERY_DAY = ["1", "2", "3", "4", "5", "6", "7"]
FORM = {
    "name": "",
    "enabled": "on",
    "only_if_idle": "on",
    "idle_minutes": "0.05",
    "wait_minutes": "60",
    "days": EVERY_DAY,
}

MakeRule = Callable[..., str]


def added(admin: Person, **fields: Any) -> str:
    """Add a rule in the admin site; return its page."""
    answer = admin.post_form(f"{RULES}add/", **{**FORM, **fields}, _continue="Save and continue editing")
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


@pytest.fixture
def make_rule(admin: Person) -> Iterator[MakeRule]:
    """make_rule(trigger=…, …): a rule until the end of the test; returns its page."""
    pages: list[str] = []

    def make(**fields: Any) -> str:
        pages.append(added(admin, **fields))
        return pages[-1]

    yield make
    for page in pages:
        assert admin.post_form(page.replace("/change/", "/delete/"), post="yes").status_code == 302


def test_an_idle_model_is_unloaded_but_not_under_a_reply_or_a_message_that_waits(
    tabby: Tabby, admin: Person, alice: Person, make_rule: MakeRule
) -> None:
    with alice.page() as page:
        sent = page.say("[[tokens=400 rate=50]]")  # longer than the rule's idle time
        page.answered(sent, ("streaming",))
        rule = make_rule(name="Sleep", trigger="idle")
        reply = page.answered(sent)
        assert (reply["status"], reply["model"], reply["handovers"]) == ("complete", "alpha-7B", [])
        assert page.backend["state"] == "ready"
        page.until(lambda each: each.backend["state"] == "unloaded", "the unload")
        with admin.watch() as watched:
            last = watched.backend["last"]
        assert (last["source"], last["rule"], last["target"], last["state"]) == (
            "rule",
            "Sleep",
            "",
            "succeeded",
        )
        assert last["replies_cut"] == 0
        assert tabby.state()["loaded"] is None
        assert f"/admin/models_admin/switch/{last['id']}/change/" in admin.get(rule).text
        assert "rule: Sleep" in admin.get("/admin/models_admin/switch/").text
        waits = page.say("[[echo]]still here")
        page.answered(waits, ("queued",))
        admin.switch("beta-8B-Q5")
        assert page.answered(waits)["model"] == "beta-8B-Q5"


def test_a_set_time_switches(tabby: Tabby, admin: Person, make_rule: MakeRule) -> None:
    with admin.watch() as page:
        soon = datetime.now(ZoneInfo("UTC")) + timedelta(seconds=3)
        make_rule(trigger="time", at=f"{soon:%H:%M:%S}", what="model:beta-8B-Q5", idle_minutes="0")
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the model of the rule")
        page.until(lambda each: each.backend["last"], "the end")
        at = soon.time().isoformat("seconds" if soon.second else "minutes")
        assert page.backend["last"]["rule"] == f"Every day at {at}: switch to beta-8B-Q5, if idle"


def test_at_the_start_an_empty_tabbyapi_gets_the_model_of_the_rule(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("gantry-start")
    with running(tmp_path_factory.mktemp("tabby-start")) as (tabby, _):
        settings = {
            "TABBY_HOST": tabby.url,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "GANTRY_ADMIN_PASSWORD": PASSWORD,
            **QUICK,
        }
        with Gantry(folder, **settings) as gantry:
            admin = Person(gantry.url, "admin", PASSWORD)
            until(lambda: "beta-8B-Q5" in admin.get(f"{RULES}add/").text, "the catalog")
            rule = added(admin, trigger="start", what="model:beta-8B-Q5")
            assert admin.call("POST", "/api/admin/models/unload").status_code == 200
            gantry.end()
        assert tabby.state()["loaded"] is None
        with Gantry(folder, **settings) as gantry:
            admin = Person(gantry.url, "admin", PASSWORD)
            with admin.watch() as page:
                page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the model of the rule")
            told = re.sub(r"<[^>]+>", " ", admin.get(rule).text)
            assert "switch to beta-8B-Q5" in told
            gantry.end()
