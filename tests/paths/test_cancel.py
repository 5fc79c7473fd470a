"""Cancelling: at once while nothing has been changed, else by going back when the load at hand has ended."""

from __future__ import annotations

from support.page import Page
from support.people import Person
from support.tabby import Tabby


def in_state(page: Page, state: str) -> None:
    page.until(lambda each: (each.backend["switch"] or {}).get("state") == state, f"the state {state}")


def ended(page: Page, number: int) -> None:
    page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")


def test_while_draining_it_is_immediate_and_replies_go_on(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page, admin.watch() as watched:
        sent = page.say("[[tokens=60 rate=40]]")
        page.answered(sent, ("streaming",))
        number = admin.start_switch("beta-8B-Q5")
        in_state(watched, "draining")
        assert admin.call("DELETE", f"/api/admin/switches/{number}").status_code in (200, 202)
        row = admin.switch_row(number)
        assert (row["state"], row["result"]) == ("cancelled", "alpha-7B")
        assert "admin" in row["error"]
        reply = page.answered(sent)
        assert (reply["status"], reply["handovers"]) == ("complete", [])
    assert tabby.log("/v1/model/unload") == []


def test_while_loading_it_goes_back_when_the_load_ends(tabby: Tabby, admin: Person, alice: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        in_state(page, "loading")
        assert admin.call("DELETE", f"/api/admin/switches/{number}").status_code in (200, 202)
        page.until(
            lambda each: (each.backend["switch"] or {}).get("cancel_requested"),
            "the request to cancel on the page",
        )
        ended(page, number)
        assert page.backend["last"]["state"] == "cancelled"
        assert page.backend["model"] == "alpha-7B"
    assert tabby.state()["loaded"] == "alpha-7B"


def test_a_cancelled_unload_brings_the_model_back(tabby: Tabby, admin: Person) -> None:
    tabby.fault("unload", "slow", seconds=1)
    with admin.watch() as page:
        answer = admin.call("POST", "/api/admin/models/unload", Prefer="respond-async")
        number = int(answer.headers["Location"].rpartition("/")[2])
        in_state(page, "unloading")
        admin.call("DELETE", f"/api/admin/switches/{number}")
        ended(page, number)
        assert page.backend["last"]["state"] == "cancelled"
    assert tabby.state()["loaded"] == "alpha-7B"


def test_one_that_has_ended_cannot_be_cancelled(tabby: Tabby, admin: Person) -> None:
    number = admin.start_switch("beta-8B-Q5")
    with admin.watch() as page:
        ended(page, number)
    answer = admin.call("DELETE", f"/api/admin/switches/{number}")
    assert answer.status_code == 409
    assert answer.json()["detail"]


def test_only_those_who_may_switch_may_cancel(tabby: Tabby, admin: Person, alice: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("beta-8B-Q5")
        assert alice.call("DELETE", f"/api/admin/switches/{number}").status_code == 403
        ended(page, number)
        assert page.backend["last"]["state"] == "succeeded"
