"""Comparing on real parts: the next model answers the same message beside the reply, while the conversation goes on."""

from __future__ import annotations

from typing import Any

from support.people import Person
from support.tabby import Tabby


def beside(page: Any, reply: int) -> dict[str, Any]:
    """What stands beside a reply, or {}."""
    return next((each for each in page.messages.values() if each["compared_with"] == reply), {})


def test_the_next_model_answers_the_same_message_and_the_reader_says_which_is_better(
    tabby: Tabby, admin: Person, alice: Person, second_url: str
) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as page, alice.page(conversation, second_url) as other:
        first = page.answered(page.say("[[tokens=4]] Tell me."))
        page.frame(type="compare", id=first["id"])
        for each in (page, other):
            each.until(lambda it: beside(it, first["id"]).get("status") == "awaiting", "the comparison")
        later = page.answered(page.say("[[tokens=3]] Go on."))
        assert (later["status"], later["model"]) == ("complete", "alpha-7B")
        assert len(tabby.chats()) == 2

        admin.switch("beta-8B-Q5")
        for each in (page, other):
            each.until(lambda it: beside(it, first["id"]).get("status") == "complete", "the other reply")
        found = beside(other, first["id"])
        assert (found["model"], found["parent"]) == ("beta-8B-Q5", first["parent"])
        assert found["text"] == " w1 w2 w3 w4"
        asked = tabby.log("/v1/chat/completions")[-1]["body"]["messages"]
        assert [each["content"] for each in asked] == ["[[tokens=4]] Tell me."]

        other.frame(type="judge", id=found["id"], better="second")
        page.until(lambda it: beside(it, first["id"]).get("better") == "second", "the verdict")
        page.frame(type="judge", id=found["id"], better="third")
        assert page.event("error")["code"] == "bad_frame"
        report = admin.call("GET", "/api/admin/models/alpha-7B/report").json()
        assert report["opinions"]["compared"] == [
            {"model_id": "beta-8B-Q5", "better": 0, "same": 0, "worse": 1}
        ]

        page.frame(type="keep", id=found["id"])
        other.until(lambda it: found["id"] in it.order and later["id"] not in it.order, "the other branch")
        assert other.messages[found["id"]]["versions"]["count"] == 2


def test_a_comparison_of_one_model_is_not_gone_on_with_by_another(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    with alice.page() as page:
        first = page.answered(page.say("[[tokens=400 rate=40]]"), ("streaming",))
        page.frame(type="stop", id=first["id"])
        page.until(lambda it: it.messages[first["id"]]["status"] == "stopped", "the stop")
        page.until(lambda it: it.messages[first["id"]]["text"], "some of it")
        page.frame(type="compare", id=first["id"])
        admin.switch("beta-8B-Q5")
        page.until(lambda it: beside(it, first["id"]).get("text"), "the first words of the other")
        answer = admin.call("POST", "/api/admin/models/switch", {"model_id": "alpha-7B", "force": True})
        assert answer.status_code == 200, answer.text
        page.until(lambda it: beside(it, first["id"]).get("status") == "awaiting", "that it is set aside")
        page.frame(type="stop", id=beside(page, first["id"])["id"])
        page.until(lambda it: beside(it, first["id"]).get("status") == "stopped", "the stop")
