"""A switch in mid-answer: begun again unseen, gone on with, or ended with the truth. No token lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest
from support.api_calls import Caller, Wire, said, words
from support.people import Person
from support.tabby import Tabby, until

TOOL = {"type": "function", "function": {"name": "get_time", "description": "", "parameters": {}}}


def _chats(tabby: Tabby) -> list[dict[str, Any]]:
    """The chats so far, without the question with which a switch is verified."""
    return tabby.chats()


def test_a_stream_with_text_is_gone_on_with(caller: Caller, admin: Person) -> None:
    usage = {"stream_options": {"include_usage": True}}
    with caller.stream("[[tokens=150 rate=15]]", **usage) as wire:
        wire.until("w5 ")
        admin.start_switch("beta-8B-Q5")
        assert wire.rest() == words(1, 150)
    assert wire.models == ["alpha-7B", "beta-8B-Q5"]
    assert wire.done
    assert len({each["id"] for each in wire.events}) == 1
    roles = [each for each in wire.events if each["choices"] and "role" in each["choices"][0]["delta"]]
    assert len(roles) == 1
    spent = wire.events[-1]["usage"]
    assert spent["completion_tokens"] == 150
    assert spent["total_tokens"] == spent["prompt_tokens"] + 150


def test_an_answer_in_one_piece_begins_again_unseen(caller: Caller, admin: Person, tabby: Tabby) -> None:
    with (
        caller.client() as client,
        client.chat.completions.with_streaming_response.create(
            model="alpha-7B", messages=said("[[tokens=150 rate=15]]")
        ) as response,
    ):
        until(lambda: _chats(tabby), "the call in TabbyAPI")
        admin.start_switch("beta-8B-Q5")
        answer = response.parse()
    assert answer.choices[0].message.content == words(1, 150)
    assert answer.model == "beta-8B-Q5"
    assert [each["outcome"] for each in _chats(tabby)] == ["disconnected", "completed"]


def test_a_stream_that_has_sent_nothing_begins_again_unseen(
    caller: Caller, admin: Person, tabby: Tabby
) -> None:
    with caller.stream("[[tokens=20 rate=0 prefill=8]]", n=2) as wire:
        until(lambda: _chats(tabby), "the call in TabbyAPI")
        admin.start_switch("beta-8B-Q5")
        wire.rest()
    assert wire.done
    assert wire.models == ["beta-8B-Q5"]
    assert len(_chats(tabby)) == 2


@pytest.mark.parametrize(
    "bound",
    [
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"n": 2},
    ],
    ids=["tools", "format", "logprobs", "choices"],
)
def test_what_nobody_else_can_go_on_with_ends_with_the_truth(
    caller: Caller, admin: Person, tabby: Tabby, bound: dict[str, Any]
) -> None:
    with caller.stream("[[tokens=200 rate=15]]", **bound) as wire:
        wire.until("w5")
        admin.start_switch("beta-8B-Q5")
        wire.rest()
    assert wire.events[-1]["error"]["code"] == "model_switched"
    assert "alpha-7B" in wire.events[-1]["error"]["message"]
    assert not wire.done
    assert len(_chats(tabby)) == 1
    one_choice = [each for each in wire.events if each.get("choices", [{}])[0].get("index") == 0]
    said_by_one = Wire.text.fget(_with(one_choice))  # type: ignore[attr-defined]
    assert words(1, 200).startswith(said_by_one)


def _with(events: list[Any]) -> Wire:
    wire = Wire.__new__(Wire)
    wire.events = events
    return wire


def test_a_limit_of_tokens_holds_across_models(caller: Caller, admin: Person, tabby: Tabby) -> None:
    with caller.stream("[[tokens=200 rate=12]]", max_tokens=120) as wire:
        wire.until("w5 ")
        admin.start_switch("beta-8B-Q5")
        assert wire.rest() == words(1, 120)
    assert wire.events[-1]["choices"][0]["finish_reason"] == "length"
    assert wire.models == ["alpha-7B", "beta-8B-Q5"]


def test_thoughts_that_were_cut_are_thought_again(caller: Caller, admin: Person) -> None:
    with caller.stream("[[tokens=150 rate=15 reasoning=140]]") as wire:
        while not any(each["choices"][0]["delta"].get("reasoning_content") for each in wire.events):
            wire.line()
        admin.start_switch("beta-8B-Q5")
        assert wire.rest() == words(141, 150)
    thoughts = "".join(each["choices"][0]["delta"].get("reasoning_content") or "" for each in wire.events)
    first, _, second = thoughts.partition("\n\n")
    assert words(1, 140).startswith(first)
    assert second == words(1, 140)


def test_a_text_completion_is_gone_on_with(caller: Caller, admin: Person) -> None:
    with caller.client() as client:
        stream = client.completions.create(model="alpha-7B", prompt="[[tokens=150 rate=15]]", stream=True)
        chunks = [next(stream)]
        admin.start_switch("beta-8B-Q5")
        chunks += list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == words(1, 150)
    assert list(dict.fromkeys(chunk.model for chunk in chunks)) == ["alpha-7B", "beta-8B-Q5"]


def test_a_failed_switch_leads_back_to_the_model_before(caller: Caller, admin: Person) -> None:
    with caller.stream("[[tokens=150 rate=15]]") as wire:
        wire.until("w5 ")
        admin.start_switch("huge-70B")
        assert wire.rest() == words(1, 150)
    assert wire.models == ["alpha-7B"]


def test_a_model_that_is_taken_away_behind_gantrys_back(caller: Caller, tabby: Tabby) -> None:
    with caller.stream("[[tokens=100 rate=15]]") as wire:
        wire.until("w5 ")
        tabby.state(loaded="beta-8B-Q5")
        assert wire.rest() == words(1, 100)
    assert wire.models == ["alpha-7B", "beta-8B-Q5"]


def test_a_tabbyapi_that_starts_anew(caller: Caller, tabby: Tabby) -> None:
    with caller.stream("[[tokens=100 rate=15]]") as wire:
        wire.until("w5 ")
        tabby.state(restart=True, loaded="beta-8B-Q5")
        assert wire.rest() == words(1, 100)
    assert wire.done


@pytest.mark.parametrize("times", [2, 3], ids=["soon over", "lasting"])
def test_an_error_instead_of_a_reply_is_worth_another_try(caller: Caller, tabby: Tabby, times: int) -> None:
    tabby.fault("chat", "error_event", at=0, times=times)
    with caller.stream("[[tokens=20 rate=0]]") as wire:
        said_to_the_end = wire.rest()
    if times == 2:
        assert (said_to_the_end, wire.done) == (words(1, 20), True)
    else:
        assert "aborted" in wire.events[-1]["error"]["message"]
    assert len(_chats(tabby)) == 3
