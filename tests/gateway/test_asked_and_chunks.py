"""What a body becomes on its way to TabbyAPI, and an event on its way to the caller: pure, byte by byte."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway import asked, shapes
from gateway.asked import CHAT, EMBEDDINGS, TEXT, Asked
from gateway.chunks import Chunks
from gateway.errors import Refused
from models_admin.tabby.access import Access
from models_admin.tabby.passage import PassageReader


def read(endpoint: str = CHAT, **body: Any) -> Asked:
    needed = {CHAT: {"messages": []}, TEXT: {"prompt": "Once"}, EMBEDDINGS: {"input": "x"}}[endpoint]
    return asked.read(endpoint, orjson.dumps({**needed, **body}))


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        ({}, ""),
        ({"n": 1, "tools": [], "logprobs": False, "response_format": {"type": "text"}}, ""),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools"),
        ({"functions": [{"name": "x"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "a response format"),
        ({"json_schema": {"type": "object"}}, "a response format"),
        ({"regex_pattern": "a+"}, "a response format"),
        ({"logprobs": True}, "log probabilities"),
        ({"top_logprobs": 3}, "log probabilities"),
        ({"n": 2}, "several choices"),
        ({"response_prefix": "Well,"}, "an answer that was begun"),
    ],
)
def test_what_keeps_a_reply_from_being_gone_on_with(body: dict[str, Any], bound: str) -> None:
    assert read(**body).bound == bound


def test_several_prompts_are_several_choices() -> None:
    assert read(TEXT, prompt=["a", "b"]).bound == "several choices"
    assert read(TEXT, prompt=["a"]).bound == ""


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_going_on_counts_what_was_written(name: str) -> None:
    call = read(**{name: 10})
    assert call.to_go_on(None, "abc", 4) == ({**call.body, name: 6}, "abc")
    assert (call.is_full(9), call.is_full(10)) == (False, True)
    body, prefix = read(TEXT, stream=True, **{name: 10}).to_go_on(100, " upon", 4)
    assert (body["prompt"], body[name], prefix) == ("Once upon", 6, "")


def test_a_stream_of_a_completion_gets_a_limit() -> None:
    assert read(TEXT, stream=True).to_send(4096)["max_tokens"] == 4096
    assert read(TEXT, stream=True).to_send(None)["max_tokens"] > 100_000
    assert read(TEXT, stream=True, max_tokens=5).to_send(4096)["max_tokens"] == 5
    assert "max_tokens" not in read(TEXT).to_send(4096)


def test_a_name_that_is_too_long_is_none() -> None:
    with pytest.raises(Refused) as error:
        read(model="x" * 256)
    assert error.value.error["param"] == "model"


def event(
    model: str = "alpha", pk: str = "1", usage: Any = None, finish: str | None = None, **delta: Any
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    more = {"usage": usage} if usage else {}
    return orjson.dumps({"id": pk, "choices": [choice], "model": model, **more})


def passed(chunks: Chunks, *payloads: bytes, model: str = "alpha") -> list[Any]:
    """What is sent for these payloads of TabbyAPI's."""
    reader = PassageReader(Access("http://tabby"))
    found = reader.read(list(payloads))
    assert found is not None
    return decoded(chunks.take(found, model))


def decoded(sent: bytes) -> list[Any]:
    parts = sent.split(b"\n\n")
    assert parts.pop() == b""
    assert all(part.startswith(b"data: ") for part in parts)
    return [part[6:] if part[6:] == b"[DONE]" else orjson.loads(part[6:]) for part in parts]


def test_what_fits_is_passed_on_byte_for_byte() -> None:
    chunks = Chunks(read())
    passed(chunks, event(content="a"))
    raw = b'{"id": "1",  "choices":[{"index":0,"delta":{"content":"\\u00fc"},"x":1.50}],"model":"alpha","odd":[ ]}'
    found = PassageReader(Access("http://tabby")).read([raw])
    assert found
    assert chunks.take(found, "alpha") == b"data: " + raw + b"\n\n"
    assert chunks.text == "aü"


def test_an_event_with_a_line_break_stays_one_event() -> None:
    chunks = Chunks(read())
    passed(chunks, event(content="a"))
    (sent,) = passed(
        chunks, b'{"id":"1","choices":[{"index":0,"delta":{"content":"b"}}],\n\n"model":"alpha"}'
    )
    assert sent["choices"][0]["delta"] == {"content": "b"}


def test_usage_comes_alone_and_only_where_it_was_asked_for() -> None:
    spent = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    payloads = (event(content="a"), event(usage=spent, finish="stop"))
    silent = Chunks(read())
    assert all("usage" not in each for each in passed(silent, *payloads))
    assert decoded(silent.end()) == [b"[DONE]"]
    told = Chunks(read(stream_options={"include_usage": True}))
    assert all(each["usage"] is None for each in passed(told, *payloads))
    last, _ = decoded(told.end())
    assert (last["choices"], last["usage"]) == ([], spent)


def test_a_second_model_goes_on_under_the_same_id() -> None:
    chunks = Chunks(read(stream_options={"include_usage": True}))
    passed(chunks, event(content="a"), event(content="b"))
    assert not chunks.complete
    chunks.next_model()
    spent = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    sent = passed(chunks, event("beta", "2", content="c"), event("beta", "2", spent, "stop"), model="beta")
    assert [each["id"] for each in sent] == ["1", "1"]
    assert [each["model"] for each in sent] == ["beta", "beta"]
    assert "role" not in sent[0]["choices"][0]["delta"]
    assert chunks.complete
    assert chunks.text == "abc"
    assert decoded(chunks.end())[0]["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
    }


TOKEN = {"token": "a", "logprob": -0.5}
FULL = {**TOKEN, "bytes": None}


@pytest.mark.parametrize(
    ("choice", "given"),
    [
        ({"message": {"tool_calls": None}}, {"message": {"refusal": None}, "logprobs": None}),
        ({"message": {"refusal": "no"}}, {"message": {"refusal": "no"}, "logprobs": None}),
        (
            {"message": {"tool_calls": [1]}},
            {"message": {"refusal": None, "tool_calls": [1]}, "logprobs": None},
        ),
        (
            {"logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN, 5]}, 5]}},
            {"logprobs": {"content": [{**FULL, "top_logprobs": [FULL, 5]}, 5], "refusal": None}},
        ),
        ({"message": 5, "logprobs": {"content": 5}}, {"message": 5, "logprobs": {"content": 5}}),
        (5, 5),
    ],
)
def test_an_answer_in_one_piece_has_what_strict_clients_look_for(choice: Any, given: Any) -> None:
    told = {"id": "1", "choices": [choice], "model_name": "beta"}
    assert shapes.whole(told, CHAT, "alpha") == {"id": "1", "choices": [given], "model": "beta"}
    assert shapes.whole({"data": [choice]}, EMBEDDINGS, "alpha") == {"data": [choice], "model": "alpha"}


def test_chunks_have_it_too() -> None:
    chunks = Chunks(read(logprobs=True))
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [TOKEN]}}
    payload = orjson.dumps({"id": "1", "choices": [choice], "model": "alpha"})
    sent = passed(chunks, payload, payload)[-1]["choices"][0]
    assert sent["logprobs"] == {"content": [{**FULL, "top_logprobs": []}], "refusal": None}
    text = Chunks(read(TEXT, stream=True))
    (first,) = passed(text, b'{"id":"1","choices":[{"index":0,"text":"a"}],"model":"alpha"}')
    assert first["choices"] == [{"index": 0, "text": "a", "logprobs": None}]


def test_a_text_that_is_too_long_is_not_kept(settings: Any) -> None:
    settings.REPLY_MAX_CHARS = 10
    chunks = Chunks(read())
    passed(chunks, event(content="x" * 11))
    assert chunks.too_long
    assert chunks.text == ""


ALIKE = [
    event(content="a"),
    event(content="b"),
    event(content='"\\ü\n{"content":"x"}'),
    event(content=""),
    event(content="c").replace(b'"c"', b'"c","content":"d"'),
    event(content="c").replace(b'"c"', b'"c"\n'),
    event(content="c").replace(b'"c"', b'["c"]'),
    event(content="c").replace(b'"c"', b'"\\ud800"'),
    event(reasoning_content="t"),
    event(reasoning_content="u"),
    event(content="v", reasoning_content="w"),
    event(content="x", reasoning_content=None),
    event(content="y", reasoning_content=None),
    event(content="e", tool_calls=[{"index": 0}]),
    event(content="f", tool_calls=[{"index": 0}]),
    event(pk="2", content="g"),
    event(pk="2", content="h"),
    event(content="i"),
    event(content="j", usage={"total_tokens": 1}),
    event(content="k", usage={"total_tokens": 1}),
    event(content="l"),
    event(content="o", finish="st"),  # as long as null
    event(content="p"),
    event(content="m", finish="stop"),
    event(content="n", finish="stop"),
]


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_told_by_its_frame_comes_out_as_if_it_had_been_decoded(order: int, usage: bool) -> None:
    body = {"stream_options": {"include_usage": usage}}
    quick, slow = Chunks(read(**body)), Chunks(read(**body))
    reader, told = PassageReader(Access("http://tabby")), 0
    for payload in [event(content="0"), *ALIKE[::order]]:
        found, decoded_found = reader.read([payload]), PassageReader(Access("http://tabby")).read([payload])
        assert found
        assert decoded_found
        told += isinstance(found.events[0][1], str)
        assert quick.take(found, "alpha") == slow.take(decoded_found, "alpha")
        assert (quick.text, quick.tokens, quick.complete) == (slow.text, slow.tokens, slow.complete)
    assert told > 5
    assert quick.end() == slow.end()


def test_thoughts_that_begin_anew_are_set_apart_also_where_only_their_text_differs() -> None:
    chunks, reader = Chunks(read()), PassageReader(Access("http://tabby"))
    for text in ("a", "b"):
        found = reader.read([event(reasoning_content=text)])
        assert found
        chunks.take(found, "alpha")
    chunks.next_model()
    found = reader.read([event(reasoning_content="c")])
    assert found
    assert isinstance(found.events[0][1], str)
    (sent,) = decoded(chunks.take(found, "alpha"))
    assert sent["choices"][0]["delta"]["reasoning_content"] == "\n\nc"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id":"1","choices":[5,{"index":"x","delta":5},{"delta":{"content":["no"]}}],"model":"alpha"}',
        b'{"id":null,"choices":[],"model":7}',
        b'{"id":"1","choices":[{"index":0,"delta":{"content":"\\ud800"}}],"model":"alpha"}',
        b'{"id":"1","choices":[{"index":0,"delta":{"content":"\xff"}}],"n":NaN,"model":"alpha"}',
        b'{"id":"1","choices":[],"usage":"much","model":"alpha"}',
    ],
)
def test_an_odd_event_breaks_nothing(payload: bytes) -> None:
    chunks = Chunks(read())
    for _ in range(2):
        passed(chunks, payload)
    decoded(chunks.end())


@pytest.mark.parametrize(
    "payload", [b"", b"5", b"[]", b"{}", b'{"choices":5}', b'{"error":{"message":"no"}}', b"<p>"]
)
def test_what_is_no_event_is_a_failure(payload: bytes) -> None:
    reader = PassageReader(Access("http://tabby"))
    assert reader.read([event(content="a"), payload, event(content="b")])
    assert reader.failure is not None
    assert not reader.done
