"""Whatever JSON stands in a field of TabbyAPI's, what comes of it is a value that any database, JSON and page can take."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models_admin.tabby import errors, wire
from models_admin.tabby.access import Access
from models_admin.tabby.reply import ReplyReader

ODD = [
    "x" * 40,
    "a\x00b",
    "\x1b[31m\x07",
    "\ud800",
    1e308,
    -1,
    math.nan,
    math.inf,
    2**70,
    10**400,
    True,
    [],
    {},
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "completion_tokens_per_sec": 2.5,
    "total_time": 4,
}


def fits(value: object) -> bool:
    """Whether JSON holds the value, and every text and number in it is one that columns of both databases take."""
    json.dumps(value, allow_nan=False).encode()
    if isinstance(value, dict):
        return all(fits(name) and fits(each) for name, each in value.items())
    if isinstance(value, str):
        value.encode()  # no half of a surrogate pair
        return "\x00" not in value
    return value is None or abs(value) < 2**53


def read(event: object) -> tuple[wire.Delta | None, errors.TabbyError | None]:
    reader = ReplyReader(Access("http://tabby"))
    return reader.read([json.dumps(event).encode()]), reader.failure


@given(
    st.sampled_from(["content", "reasoning_content", "finish_reason", "model", "usage", "choices", *USAGE]),
    anything,
)
@example("total_time", 1e308)
@example("total_tokens", 10**400)
@example("completion_tokens_per_sec", math.nan)
@example("content", "half a \ud83d pair")
@example("content", "a\x00b")
@example("finish_reason", "stop\x00" + "p" * 40)
def test_any_value_in_a_reply(field: str, value: object) -> None:
    choice = {"index": 0, "delta": {"content": "word"}, "finish_reason": "stop"}
    event = {"choices": [choice], "model": "Llama", "usage": dict(USAGE)}
    place = {"content": choice["delta"], "reasoning_content": choice["delta"], "finish_reason": choice}
    place |= dict.fromkeys(USAGE, event["usage"])
    place.get(field, event)[field] = value
    delta, failure = read(event)
    assert delta is not None or failure is not None
    if failure is not None:
        assert fits(str(failure))
        assert len(str(failure)) < 3000
    if delta is not None:
        usage = delta.usage.as_dict() if delta.usage else None
        assert fits({"text": delta.text, "reasoning": delta.reasoning, "usage": usage})
        assert fits(delta.model)
        assert len(delta.model) <= 255
        assert delta.finish_reason is None or len(delta.finish_reason) <= 32
        assert fits(delta.finish_reason)
        assert fits(wire.Usage.read(event["usage"]).as_dict() if isinstance(event["usage"], dict) else None)


@given(st.sampled_from(["id", *wire.PARAMETERS]), anything)
@example("cache_size", 10**400)
@example("rope_scale", math.nan)
def test_any_value_in_a_card(field: str, value: object) -> None:
    card = {"id": "Llama", "parameters": {"max_seq_len": 4096}}
    (card if field == "id" else card["parameters"])[field] = value
    try:
        found = wire.read_card(wire.decode_json(json.dumps(card).encode(), "the card"))
    except errors.Garbled:
        return
    assert fits({"id": found.id, **found.parameters})
    assert 0 < len(found.id) <= 255


@given(st.sampled_from(["model_type", "module", "modules", "status"]), anything)
def test_any_value_in_the_progress_of_a_load(field: str, value: object) -> None:
    event = {"model_type": "model", "module": 1, "modules": 2, "status": "processing", field: value}
    try:
        found = wire.read_progress(event)
    except errors.Garbled:
        return
    assert fits({"phase": found.phase, "module": found.module, "modules": found.modules})
    assert len(found.phase) <= 32
    assert found.modules < 2**31


@given(
    st.sampled_from(
        ['{"error": %s}', '{"error": {"message": %s}}', '{"detail": %s}', '{"detail": [%s]}', "%s"]
    )
    | st.just('{"detail": [{"loc": ["body", %s], "msg": "odd"}]}'),
    anything,
)
def test_any_value_in_the_words_of_an_error(form: str, value: object) -> None:
    body = (form % json.dumps(value)).encode()
    failure = Access("http://tabby").failure(400, "loading", body)
    assert fits(str(failure))
    assert len(failure.words) <= errors.MAX_WORDS
    assert "\x1b" not in str(failure)
    assert "\x07" not in str(failure)


@given(anything)
def test_any_value_in_its_health(value: object) -> None:
    for issues in ([value] * 3, value):
        try:
            found = wire.read_issues({"status": "unhealthy", "issues": issues})
        except errors.Garbled:
            continue
        assert all(fits(issue) and len(issue) <= errors.MAX_WORDS for issue in found)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_what_is_nested_without_end_is_garbled_or_words(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    reader = ReplyReader(Access("http://tabby"))
    reader.read([b'{"error": %s}' % deep])
    assert isinstance(reader.failure, errors.TabbyError)
    assert fits(str(Access("http://tabby").failure(400, "loading", b'{"detail": %s}' % deep)))


@pytest.mark.parametrize("odd", [math.nan, math.inf, 10**400, "\ud83d"])
def test_what_other_programs_write_into_json_ends_no_reply(odd: object) -> None:
    delta, failure = read(
        {"choices": [{"delta": {"content": "word"}, "finish_reason": odd}], "usage": {"total_time": odd}}
    )
    assert failure is None
    assert delta is not None
    assert delta.text == "word"


def test_usage_is_bounded_value_by_value() -> None:
    odd = {"prompt_tokens": 2**70, "completion_tokens": 7, "total_tokens": "8", "total_time": 1e308}
    assert wire.read_usage(odd) == wire.Usage(None, 7, None, None, None)
