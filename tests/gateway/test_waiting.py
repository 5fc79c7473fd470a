"""Calls that wait for their turn: signs of life, limits of patience, and one line with the chat."""

from __future__ import annotations

import contextlib

import pytest
from support.api_calls import Caller, words
from support.people import Person
from support.tabby import Tabby, until


@pytest.fixture
def loading(caller: Caller, admin: Person, tabby: Tabby) -> None:
    """A switch to a model that loads for some seconds."""
    tabby.state(seconds_per_module=0.1)
    number = admin.start_switch("slow-13B")
    until(lambda: admin.switch_row(number)["state"] == "loading", "the load")
    until(lambda: lists(caller) == ["slow-13B"], "a web process that knows of it")


def lists(caller: Caller) -> list[str]:
    """The models that the API lists; a web process follows what is loaded within a second."""
    return [each["id"] for each in caller.get("models").json()["data"]]


@pytest.mark.usefixtures("loading")
def test_a_stream_shows_signs_of_life_that_belong_to_an_event(caller: Caller) -> None:
    with caller.stream("[[tokens=20 rate=0]]") as wire:
        assert wire.response.status_code == 200
        assert wire.line().startswith(": ")
        assert wire.events == []
        following = wire.line()
        assert following.startswith((": ", "data: {")), "a comment that stands alone"
        assert wire.rest() == words(1, 20)
    assert wire.comments[0].startswith(": loading ")
    assert wire.models == ["slow-13B"]


@pytest.mark.usefixtures("loading")
def test_openais_package_reads_through_the_signs(caller: Caller) -> None:
    with caller.client() as client:
        asked = {"model": "", "messages": [{"role": "user", "content": "[[tokens=20 rate=0]]"}]}
        chunks = list(client.chat.completions.create(**asked, stream=True))  # type: ignore[call-overload]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == words(1, 20)


@pytest.mark.usefixtures("loading")
def test_an_answer_in_one_piece_comes_behind_blanks(caller: Caller) -> None:
    answer = caller.ask("[[tokens=20 rate=0]]")
    assert answer.status_code == 200
    assert answer.content[:1] == b" "
    assert answer.json()["choices"][0]["message"]["content"] == words(1, 20)
    assert answer.json()["model"] == "slow-13B"


@pytest.mark.usefixtures("loading")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["?wait=0", "X-Gantry-Wait"])
def test_whoever_does_not_want_to_wait_is_told_when_to_come_back(
    caller: Caller, how: str, stream: bool
) -> None:
    query, headers = (how, {}) if how.startswith("?") else ("", {how: "0"})
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": stream}
    answer = caller.post(f"chat/completions{query}", body, headers)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error"]["code"] == "model_switching"
    assert "slow-13B" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("loading")
def test_a_wait_that_is_over_ends_a_stream_with_an_error(caller: Caller) -> None:
    with caller.stream("hello", {"X-Gantry-Wait": "1.5"}) as wire:
        wire.rest()
    assert [each["error"]["code"] for each in wire.events] == ["model_switching"]


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf"])
def test_a_wait_is_a_number_of_seconds(caller: Caller, wait: str) -> None:
    answer = caller.ask("hello", {"X-Gantry-Wait": wait})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_wait")


@pytest.mark.usefixtures("loading")
def test_a_model_that_comes_or_goes_is_taken_and_another_is_not(caller: Caller) -> None:
    assert caller.ask("[[tokens=2]]", model="slow-13B").json()["model"] == "slow-13B"


@pytest.mark.usefixtures("loading")
def test_a_model_that_does_not_come_is_refused_at_once(caller: Caller) -> None:
    answer = caller.ask("hello", model="beta-8B-Q5")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "slow-13B" in answer.json()["error"]["message"]


def test_without_a_model_it_is_said_that_there_is_none(caller: Caller, admin: Person) -> None:
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200
    until(lambda: lists(caller) == [], "a web process that knows of no model")
    answer = caller.ask("hello", {"X-Gantry-Wait": "0.2"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_model_loaded")


def test_the_limit_per_person_holds_across_chat_and_calls(caller: Caller, admin: Person) -> None:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(caller.stream("[[tokens=1600 rate=40]]")) for _ in range(3)]
        for wire in wires:
            wire.until("w1 ")
        page = stack.enter_context(admin.page())
        reply = page.answered(page.say("[[tokens=1600 rate=40]]"), ("streaming",))
        busy = caller.ask("hello", {"X-Gantry-Wait": "0"})
        assert (busy.status_code, busy.json()["error"]["code"]) == (503, "busy")

        second = stack.enter_context(admin.page())
        later = second.say("[[tokens=3 rate=0]]")
        assert second.answered(later, ("queued",))["text"] == ""
        page.frame(type="stop", id=reply["id"])
        assert second.answered(later)["text"] == words(1, 3)
