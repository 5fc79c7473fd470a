"""Each endpoint, plain and as a stream, as OpenAI's own package sees it, and on the wire."""

from __future__ import annotations

import pytest
from openai import NotFoundError
from support.api_calls import Caller, said, words
from support.tabby import Tabby

ALPHA = "alpha-7B"


def test_the_loaded_model_is_listed(caller: Caller) -> None:
    with caller.client() as client:
        (model,) = client.models.list().data
        assert (model.id, model.object, model.owned_by) == (ALPHA, "model", "tabbyapi")
        assert model.created > 1_700_000_000
        assert client.models.retrieve(ALPHA).id == ALPHA
        with pytest.raises(NotFoundError, match=ALPHA) as error:
            client.models.retrieve("gpt-4o")
    assert error.value.code == "model_not_found"


def test_a_chat_in_one_piece(caller: Caller) -> None:
    with caller.client() as client:
        answer = client.chat.completions.create(model=ALPHA, messages=said("[[tokens=30 rate=0]]"))  # type: ignore[arg-type]
    assert answer.choices[0].message.content == words(1, 30)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == ALPHA
    assert answer.usage
    assert answer.usage.completion_tokens == 30


def test_a_chat_as_a_stream(caller: Caller) -> None:
    with caller.client() as client:
        stream = client.chat.completions.create(
            model="",
            messages=said("[[tokens=30 rate=0]]"),
            stream=True,
            stream_options={"include_usage": True},
        )  # type: ignore[call-overload]
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == words(1, 30)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert {chunk.model for chunk in chunks} == {ALPHA}
    assert len({chunk.id for chunk in chunks}) == 1
    last = chunks[-1]
    assert last.choices == []
    assert last.usage.completion_tokens == 30
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_on_the_wire(caller: Caller) -> None:
    with caller.stream("[[tokens=3 rate=0]]") as wire:
        assert wire.response.status_code == 200
        assert wire.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert wire.response.headers["x-request-id"]
        assert wire.rest() == words(1, 3)
    assert wire.done
    assert not any("usage" in event for event in wire.events)


def test_what_is_sent_is_passed_on_unchanged(caller: Caller, tabby: Tabby) -> None:
    body = {
        "model": ALPHA,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "[[tokens=2]]"}]}],
        "temperature": 0.25,
        "stop": ["\n"],
        "seed": 7,
        "min_p": 0.05,
        "user": "somebody",
        "metadata": {"a": [1, None, "ü"]},
    }
    assert caller.post("chat/completions", body).status_code == 200
    sent = tabby.log("/v1/chat/completions")[-1]["body"]
    del body["model"]
    assert sent == {**body, "stream_options": {"include_usage": True}}


def test_what_tabbyapi_would_misread_is_made_right(caller: Caller, tabby: Tabby) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wrapped = {"type": "json_schema", "json_schema": {"name": "it", "strict": True, "schema": schema}}
    tool = {"type": "function", "function": {"name": "get_time"}}
    messages = [{"role": "developer", "content": "Be brief."}, *said("[[tokens=2]]")]
    more = {"model": None, "tools": [tool], "response_format": wrapped}
    assert caller.post("chat/completions", {"messages": messages, **more}).status_code == 200
    assert caller.ask("[[tokens=2]]", response_format={"type": "json_object"}).status_code == 200

    first, second = (each["body"] for each in tabby.log("/v1/chat/completions")[-2:])
    assert "model" not in first
    assert first["messages"][0]["role"] == "system"
    assert first["response_format"] == {"type": "json_schema", "json_schema": schema}
    function = first["tools"][0]["function"]
    assert function == {
        "name": "get_time",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }
    assert second["response_format"] == {"type": "json"}


def test_several_choices_with_log_probabilities(caller: Caller) -> None:
    with caller.client() as client:
        asked = {"model": ALPHA, "messages": said("[[tokens=3 rate=0]]"), "n": 2, "logprobs": True}
        answer = client.chat.completions.create(**asked)  # type: ignore[call-overload]
        assert [each.message.content for each in answer.choices] == [words(1, 3)] * 2
        assert len(answer.choices[0].logprobs.content) == 3
        chunks = list(client.chat.completions.create(**asked, stream=True))  # type: ignore[call-overload]
    for index in (0, 1):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert own[0].delta.role == "assistant"
        assert "".join(each.delta.content or "" for each in own) == words(1, 3)
        assert own[-1].finish_reason == "stop"
        assert own[1].logprobs.content[0].token == " w1"


def test_thoughts_are_passed_on(caller: Caller) -> None:
    with caller.stream("[[tokens=5 rate=0 reasoning=2]]") as wire:
        assert wire.rest() == words(3, 5)
    thought = [each["choices"][0]["delta"].get("reasoning_content") or "" for each in wire.events]
    assert "".join(thought) == words(1, 2)


def test_a_text_completion(caller: Caller) -> None:
    with caller.client() as client:
        asked = {"model": ALPHA, "prompt": "[[tokens=4 rate=0]]"}
        answer = client.completions.create(**asked)  # type: ignore[call-overload]
        assert answer.choices[0].text == words(1, 4)
        assert answer.model == ALPHA
        usage = {"stream_options": {"include_usage": True}}
        chunks = list(client.completions.create(**asked, **usage, stream=True))  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == words(1, 4)
    assert {chunk.model for chunk in chunks} == {ALPHA}
    assert "model_name" not in chunks[0].model_extra
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 4)


def test_embeddings(caller: Caller) -> None:
    with caller.client() as client:
        answer = client.embeddings.create(model="whatever", input=["one", "two"])
    assert answer.model == "embed-1"
    assert [each.index for each in answer.data] == [0, 1]
    assert answer.data[0].embedding != answer.data[1].embedding


def test_a_refusal_of_tabbyapis_has_openais_shape(caller: Caller) -> None:
    answer = caller.ask("word " * 40_000)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["type"] == "invalid_request_error"
    assert "detail" not in answer.json()


def test_trouble_in_mid_stream_ends_it_with_an_error(caller: Caller, tabby: Tabby) -> None:
    tabby.fault("chat", "error_event", at=3)
    with caller.stream("[[tokens=9 rate=0]]") as wire:
        wire.rest()
    assert wire.text == words(1, 3)
    assert wire.events[-1]["error"]["code"] == "stream_error"
    assert not wire.done


def test_a_broken_connection_to_tabbyapi_is_mended(caller: Caller, tabby: Tabby) -> None:
    tabby.fault("chat", "cut_mid_line", at=5)
    with caller.stream("[[tokens=30 rate=0]]") as wire:
        assert wire.rest() == words(1, 30)
    assert wire.done
    tabby.fault("chat", "drop")
    assert caller.ask("[[tokens=3]]").json()["choices"][0]["message"]["content"] == words(1, 3)
