"""What people do with replies: send twice, stop, ask again, edit; and what happens when a stream goes wrong."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from support.people import Person
from support.tabby import Tabby, until


def test_a_message_sent_twice_is_one_message(tabby: Tabby, alice: Person, second_url: str) -> None:
    conversation, client_id = alice.conversation(), str(uuid.uuid4())
    with alice.page(conversation) as one, alice.page(conversation, second_url) as two:
        for page in (one, two, one):
            page.say("[[echo]]once", client_id)
        assert one.answered(client_id)["text"] == "once"
        assert two.answered(client_id)["text"] == "once"
    with alice.page(conversation) as page:
        assert [each["role"] for each in page.messages.values()] == ["user", "assistant"]
    assert len(tabby.log("/v1/chat/completions")) == 1


def test_stop_ends_the_generation_in_tabbyapi_too(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=1000 rate=20]]"), ("streaming",))
        page.until(lambda each: each.messages[reply["id"]]["text"], "the first words")
        page.frame(type="stop", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")
        assert page.messages[reply["id"]]["text"].startswith(" w1")
    until(
        lambda: tabby.log("/v1/chat/completions")[-1]["outcome"] == "disconnected",
        "the end of the generation",
    )


def test_stop_works_through_another_process(tabby: Tabby, alice: Person, second_url: str) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as one, alice.page(conversation, second_url) as two:
        reply = one.answered(one.say("[[tokens=1000 rate=20]]"), ("streaming",))
        two.frame(type="stop", id=reply["id"])
        one.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")


def test_a_queued_reply_stops_at_once(tabby: Tabby, admin: Person, alice: Person) -> None:
    admin.call("POST", "/api/admin/models/unload")
    with alice.page() as page:
        reply = page.answered(page.say("never mind"), ("queued",))
        page.frame(type="stop", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")
    admin.switch("alpha-7B")
    assert tabby.chats() == []


def test_deleting_a_conversation_stops_what_it_waits_for(tabby: Tabby, alice: Person) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as page:
        reply = page.answered(page.say("[[tokens=1000 rate=20]]"), ("streaming",))
        assert alice.call("DELETE", f"/api/conversations/{conversation}").status_code == 204
        page.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")
    until(lambda: not tabby.state()["generations"], "the end of the generation")


def test_a_page_that_comes_back_sees_the_text_so_far_and_goes_on(tabby: Tabby, alice: Person) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as page:
        sent = page.say("[[tokens=100 rate=50]]")
        page.answered(sent, ("streaming",))
        page.until(lambda each: any(len(m["text"]) > 60 for m in each.messages.values()), "some words")
    with alice.page(conversation) as page:
        early = page.answered(sent, ("streaming", "complete"))
        assert early["text"]
        assert page.answered(sent)["text"] == "".join(f" w{n}" for n in range(1, 101))


def test_two_pages_on_two_processes_show_the_same(tabby: Tabby, alice: Person, second_url: str) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as one, alice.page(conversation, second_url) as two:
        sent = one.say("Tell me more, please")
        first, second = one.answered(sent), two.answered(sent)
        assert first == second
        assert any(event["type"] == "delta" for event in two.events)


def test_another_version_keeps_the_first(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        first = page.answered(page.say("[[echo]]again"))
        page.frame(type="regenerate", id=first["id"])
        page.until(
            lambda each: any(m["versions"] == {"index": 2, "count": 2, "ids": m["versions"]["ids"]}
                             and m["status"] == "complete" for m in each.messages.values()),
            "the second version",
        )  # fmt: skip
        assert first["id"] not in page.messages
        page.frame(type="select", id=first["id"])
        page.event("hello")
        assert page.messages[first["id"]]["versions"]["index"] == 1


def test_an_edited_message_is_answered_anew_and_the_old_one_stays(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        client_id = page.say("[[echo]]one")
        page.answered(client_id)
        asked = next(each for each in page.messages.values() if each["client_id"] == client_id)
        edited = str(uuid.uuid4())
        page.frame(type="edit", id=asked["id"], client_id=edited, text="[[echo]]two")
        assert page.answered(edited)["text"] == "two"
        assert asked["id"] not in page.messages
        newer = next(each for each in page.messages.values() if each["client_id"] == edited)
        assert newer["versions"]["ids"] == [asked["id"], newer["id"]]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"kind": "error_event", "at": 5}, "stream_error", "aborted"),
        ({"kind": "garbage", "at": 5}, "garbled", ""),
        (
            {"kind": "status", "status": 500, "body": "Internal Server Error"},
            "server_fault",
            "Internal Server Error",
        ),
        ({"kind": "status", "status": 401, "message": "Invalid API key"}, "key_refused", "Invalid API key"),
        ({"kind": "html", "status": 200}, "garbled", ""),
        ({"kind": "hang", "at": 5}, "stalled", ""),
    ],
)
def test_a_reply_that_goes_wrong_says_why(
    tabby: Tabby, alice: Person, fault: dict[str, Any], kind: str, words: str
) -> None:
    tabby.fault("chat", **fault)
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=50 rate=100]]"))
        assert (reply["status"], reply["error_kind"]) == ("failed", kind)
        assert words in reply["error"]
        page.frame(type="regenerate", id=reply["id"])
        page.until(lambda each: any(m["status"] == "complete" and m["role"] == "assistant"
                                    for m in each.messages.values()), "the reply of the second try")  # fmt: skip


def test_an_error_instead_of_a_reply_is_worth_another_try(tabby: Tabby, alice: Person) -> None:
    tabby.fault("chat", "error_event", at=0, times=2)
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=5]]"))
        assert (reply["status"], reply["text"]) == ("complete", " w1 w2 w3 w4 w5")
    assert len(tabby.log("/v1/chat/completions")) == 3


def test_a_prefill_that_takes_longer_than_a_reply_may_stall_is_waited_for(
    tabby: Tabby, alice: Person
) -> None:
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=5 prefill=4]]"))  # REPLY_STALL_TIMEOUT is 2 s here
        assert (reply["status"], reply["text"]) == ("complete", " w1 w2 w3 w4 w5")
    assert len(tabby.log("/v1/chat/completions")) == 1


def test_waiting_in_tabbyapis_own_queue_is_no_stall(tabby: Tabby, alice: Person, bob: Person) -> None:
    tabby.state(at_once=1)
    with alice.page() as first, bob.page() as second:
        busy = first.say("[[tokens=80 rate=20]]")  # twice as long as a reply may stall
        first.answered(busy, ("streaming",))
        waiting = second.say("[[tokens=5]]")
        assert second.answered(waiting)["text"] == " w1 w2 w3 w4 w5"
        assert first.answered(busy)["status"] == "complete"
    assert len(tabby.log("/v1/chat/completions")) == 2


@pytest.mark.parametrize("kind", ["abrupt", "cut_mid_line", "no_done"])
def test_a_reply_whose_stream_breaks_goes_on_where_it_was(tabby: Tabby, alice: Person, kind: str) -> None:
    tabby.fault("chat", kind, at=20)
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=60 rate=100]]"))
        assert reply["status"] == "complete"
        assert reply["text"] == "".join(f" w{n}" for n in range(1, 61))


def test_a_conversation_too_long_for_the_model_leaves_out_the_oldest(tabby: Tabby, alice: Person) -> None:
    tabby.state(token_rate=0)
    conversation = alice.conversation()
    system = {"role": "system", "content": "Be brief."}
    alice.call("PATCH", f"/api/conversations/{conversation}", {"system_prompt": system["content"]})
    with alice.page(conversation) as page:
        for number in range(4):
            page.answered(page.say(f"[[echo]]{number} " + "x" * 4500))
        reply = page.answered(page.say("[[echo]]the last"))
        assert reply["status"] == "complete"
        assert reply["text"] == "the last"
    sent = tabby.log("/v1/chat/completions")[-1]["body"]["messages"]
    assert sent[0] == system, "which is never the oldest turn"
    assert sent[1]["role"] == "user"
    assert reply["left_out"] == 1 + 9 - len(sent) > 0


def test_reasoning_is_told_apart(tabby: Tabby, admin: Person, alice: Person) -> None:
    admin.switch("thinker-8B")
    with alice.page() as page:
        reply = page.answered(page.say("Think first"))
        assert reply["reasoning"]
        assert reply["reasoning_seconds"] is not None
        assert reply["text"]


def test_a_stopped_reply_is_continued(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        reply = page.answered(page.say("[[tokens=60 rate=40]]"), ("streaming",))
        page.until(lambda each: len(each.messages[reply["id"]]["text"].split()) > 5, "some words")
        page.frame(type="stop", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")
        assert page.messages[reply["id"]]["continuable"]
        for _ in range(2):
            page.frame(type="continue", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["status"] == "complete", "the whole reply")
        whole = page.messages[reply["id"]]
        assert whole["text"].split() == [f"w{number}" for number in range(1, 61)]
        assert whole["handovers"] == []  # by the same model: no change of hands
        page.frame(type="continue", id=reply["id"])
        assert page.event("error")["code"] == "not_cut"


def test_a_reply_at_its_length_limit_is_continued(tabby: Tabby, alice: Person) -> None:
    conversation = alice.conversation()
    alice.call("PATCH", f"/api/conversations/{conversation}", {"max_tokens": 7})
    with alice.page(conversation) as page:
        reply = page.answered(page.say("[[tokens=12]]"))
        assert (reply["finish_reason"], reply["continuable"]) == ("length", True)
        page.frame(type="continue", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["finish_reason"] == "stop", "the rest")
        assert page.messages[reply["id"]]["text"].split() == [f"w{number}" for number in range(1, 13)]
