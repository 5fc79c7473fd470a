"""A model that changes behind Gantry's back, and a TabbyAPI that comes and goes."""

from __future__ import annotations

import pytest
from support.people import Person
from support.tabby import Tabby, until


@pytest.mark.parametrize("found", ["beta-8B-Q5", None])
def test_a_change_from_outside_is_noticed_and_recorded(
    tabby: Tabby, admin: Person, found: str | None
) -> None:
    with admin.watch() as page:
        tabby.state(loaded=found)
        page.until(lambda each: each.backend["model"] == (found or ""), "the change")
        last = page.backend["last"]
        assert (last["source"], last["target"], last["previous"]) == ("outside", found or "", "alpha-7B")
        assert page.backend["state"] == ("ready" if found else "unloaded")


def test_a_chat_that_meets_an_empty_tabbyapi_waits(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page:
        tabby.state(loaded=None)
        sent = page.say("[[echo]]hello")
        page.until(lambda each: each.backend["state"] == "unloaded", "the truth")
        page.answered(sent, ("queued",))
        tabby.state(loaded="beta-8B-Q5")
        reply = page.answered(sent)
        assert (reply["text"], reply["model"]) == ("hello", "beta-8B-Q5")


def test_a_reply_whose_model_is_taken_away_goes_on_with_the_next(tabby: Tabby, alice: Person) -> None:
    """An unload leaves the stream open for ever, with pings and no data."""
    with alice.page() as page:
        sent = page.say("[[tokens=100 rate=50]]")
        page.answered(sent, ("streaming",))
        page.until(lambda each: any(len(m["text"]) > 50 for m in each.messages.values()), "some words")
        tabby.state(loaded="beta-8B-Q5")
        reply = page.answered(sent)
        assert reply["status"] == "complete"
        assert reply["model"] == "beta-8B-Q5"
        assert reply["text"].startswith(" w1 w2 w3")


def test_tabbyapi_away_is_shown_and_messages_wait(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page:
        tabby.fault("any", "drop", times=-1)
        sent = page.say("[[echo]]patience")
        page.until(lambda each: each.backend["state"] == "unreachable", "the trouble")
        assert page.backend["unreachable_since"]
        assert page.backend["trouble"] == "", "where TabbyAPI is concerns administrators"
        with admin.watch() as watched:
            assert "cannot be reached" in watched.backend["trouble"]
        page.answered(sent, ("queued",))
        assert admin.get("/admin/models_admin/tabbymodel/").status_code == 200
        tabby.no_faults()
        assert page.answered(sent)["text"] == "patience"
        assert page.backend["state"] == "ready"


@pytest.mark.parametrize("kind", ["garbage", "html", "status"])
def test_an_answer_that_makes_no_sense_is_told_and_passes(tabby: Tabby, admin: Person, kind: str) -> None:
    with admin.watch() as page:
        tabby.fault("models", kind, times=-1)
        admin.post_form("/admin/models_admin/tabbymodel/refresh/")
        page.until(lambda each: each.backend["trouble"], "the trouble")
        assert admin.get("/admin/models_admin/tabbymodel/").status_code == 200
        tabby.no_faults()
        page.until(
            lambda each: each.backend["state"] == "ready" and not each.backend["trouble"], "the recovery"
        )


def test_a_model_that_vanishes_is_kept_and_marked(tabby: Tabby, admin: Person) -> None:
    def listed() -> list[str]:
        return [each["id"] for each in admin.call("GET", "/api/admin/models").json()["models"]]

    with admin.watch() as page:
        tabby.state(remove_models=["stuck-7B"], add_models=["new-3B"])
        page.event("catalog")
        until(lambda: "stuck-7B" not in listed(), "the refreshed list")
        assert "new-3B" in listed()
    assert "stuck-7B" in admin.get("/admin/models_admin/tabbymodel/").text
    answer = admin.switch("stuck-7B")
    assert answer.status_code == 404
