"""Replies in flight during a switch: they finish, or are cut cleanly and continued; none starts in between."""

from __future__ import annotations

import itertools

from support.page import Page
from support.people import Person
from support.tabby import Tabby


def words(first: int, last: int) -> str:
    """What the sandbox sends for tokens first…last of a directive reply."""
    return "".join(f" w{number}" for number in range(first, last + 1))


def replying(page: Page, text: str) -> str:
    """Send a message and wait until its reply has begun; return the client_id."""
    sent = page.say(text)
    reply = page.answered(sent, ("streaming",))
    page.until(lambda each: each.messages[reply["id"]]["text"], "the first words")
    return sent


def test_a_reply_in_flight_may_finish(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page:
        sent = replying(page, "[[tokens=40 rate=50]]")
        number = admin.start_switch("beta-8B-Q5")
        reply = page.answered(sent)
        assert reply["status"] == "complete"
        assert reply["model"] == "alpha-7B"
        assert reply["usage"]["completion_tokens"] == 40
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        assert page.backend["last"]["replies_cut"] == 0
    order = [
        each["path"] for each in tabby.log() if each["path"] in ("/v1/model/unload", "/v1/chat/completions")
    ]
    assert order[0] == "/v1/chat/completions"


def test_a_straggler_is_cut_and_continued_by_the_next_model(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    with alice.page() as page:
        sent = replying(page, "[[tokens=200 rate=40]]")
        number = admin.start_switch("beta-8B-Q5")
        waiting = page.answered(sent, ("queued",))
        cut_at = len(waiting["text"])
        assert cut_at
        reply = page.answered(sent)
        assert reply["status"] == "complete"
        assert reply["model"] == "beta-8B-Q5"
        assert reply["handovers"] == [{"model": "alpha-7B", "upto": cut_at}]
        assert reply["text"].startswith(waiting["text"])
        assert admin.switch_row(number)["replies_cut"] == 1
    chats = [each for each in tabby.log("/v1/chat/completions") if each["body"].get("stream")]
    assert chats[-1]["body"]["messages"][-1] == {"role": "assistant", "content": waiting["text"]}
    assert "disconnected" in chats[0]["outcome"]


def test_a_model_that_thinks_first_goes_on_with_the_answer_of_another(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    """Its template opens <think>: what it is given as a prefix, it would take for the beginning of its thoughts."""
    opener = {"name": "opener-8B", "modules": 5, "reasoning": True, "opens_think": True}
    tabby.state(add_models=[{**opener, "seconds_per_module": 0.01, "tokens_per_second": 200}])
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    with alice.page() as page:
        sent = replying(page, "[[tokens=300 rate=60 reasoning=0]]")
        admin.start_switch("opener-8B")
        cut_at = len(page.answered(sent, ("queued",))["text"])
        reply = page.answered(sent)
        assert reply["handovers"] == [{"model": "alpha-7B", "upto": cut_at}]
        assert reply["text"] == "".join(f" w{number}" for number in range(1, 301))
        assert reply["reasoning"] == ""


def test_a_reply_of_tool_calls_alone_says_so(tabby: Tabby, admin: Person, alice: Person) -> None:
    tools = {"name": "tools-8B", "modules": 5, "seconds_per_module": 0.01, "tool_format": True}
    tabby.state(add_models=[tools])
    tabby.state(loaded="tools-8B")
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    with alice.page() as page:
        page.until(lambda each: each.backend["model"] == "tools-8B", "the model")
        reply = page.answered(page.say("[[tool]]What time is it?"))
        assert (reply["status"], reply["text"]) == ("failed", "")
        assert "asked for a tool" in reply["error"]
        reply = page.answered(page.say("[[tokens=3 tool]]What time is it?"))
        assert (reply["status"], reply["text"]) == ("complete", " w1 w2 w3")


def test_unloading_begins_only_when_every_stream_is_closed(
    tabby: Tabby, admin: Person, alice: Person, bob: Person
) -> None:
    with alice.page() as one, bob.page() as two:
        replying(one, "[[tokens=400 rate=40]]")
        replying(two, "[[tokens=400 rate=40]]")
        assert admin.switch("beta-8B-Q5").status_code == 200
    log = tabby.log()
    unload = next(each for each in log if each["path"] == "/v1/model/unload")
    chats = [each for each in log if each["path"] == "/v1/chat/completions" and each["at"] < unload["at"]]
    assert len(chats) == 2
    assert all(each["ended_at"] < unload["at"] for each in chats)


def test_no_reply_slips_between_the_check_and_the_closing(
    tabby: Tabby, admin: Person, alice: Person, bob: Person, second_url: str
) -> None:
    """Many short replies start, through both web processes, while switches run: none ever meets an unload."""
    with alice.page() as one, bob.page(url=second_url) as two:
        sent: list[tuple[Page, str]] = []
        targets = itertools.cycle(("beta-8B-Q5", "alpha-7B"))
        for _ in range(4):
            number = admin.start_switch(next(targets))
            for page in (one, two):
                while (page.backend["last"] or {}).get("id") != number:
                    sent.append((page, page.say("[[tokens=2 rate=0]]")))
                    page.answered(sent[-1][1], ("queued", "streaming", "complete"))
                    page.next()
        for page, client_id in sent:
            reply = page.answered(client_id)
            assert reply["status"] == "complete"
            assert reply["text"] == words(1, 2)
    log = tabby.log()
    for unload in (each for each in log if each["path"] == "/v1/model/unload"):
        for chat in (each for each in log if each["path"] == "/v1/chat/completions"):
            assert chat["ended_at"] < unload["at"] or chat["at"] > unload["ended_at"]


def test_replies_wait_in_the_order_they_were_asked_for(
    tabby: Tabby, admin: Person, alice: Person, bob: Person
) -> None:
    with alice.page() as one, bob.page() as two:
        admin.start_switch("slow-13B")
        one.until(lambda each: each.backend["state"] == "switching", "the switch")
        first, second = one.say("[[tokens=1]]"), None
        assert one.answered(first, ("queued",))["queue_position"] == 1
        second = two.say("[[tokens=1]]")
        assert two.answered(second, ("queued",))["queue_position"] == 2
        assert one.answered(first)["status"] == two.answered(second)["status"] == "complete"


def test_a_second_message_waits_for_the_first_reply(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        first, second = page.say("[[tokens=20 rate=40]]"), page.say("[[echo]]second")
        assert page.answered(second)["text"] == "second"
        assert page.answered(first)["status"] == "complete"
    chats = tabby.log("/v1/chat/completions")
    roles = [each["role"] for each in chats[-1]["body"]["messages"]]
    assert roles == ["user", "assistant", "user"]
