"""A reply in TabbyAPI's JSON: the chunks of a stream, the whole document, usage."""

from __future__ import annotations

import time
import uuid
from typing import Any

import orjson

from .replies import Reply, Token
from .sse import json_event


class Frames:
    """Makes the events of one streamed reply. Everything but a token's text is encoded once."""

    def __init__(self, model: str, reply: Reply) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
        }
        self._model, self._reply = model, reply
        opening = b"data: " + orjson.dumps(self._head)[:-1] + b',"choices":[{"index":0,"delta":{"'
        self._content = opening + b'content":'
        self._reasoning = opening + b'reasoning_content":'
        self._rest = b'},"finish_reason":null}],"model":' + orjson.dumps(model) + b"}\r\n\r\n"
        self._started = time.monotonic()

    def token(self, token: Token) -> bytes:
        """Return the event of one token."""
        if token.tool:
            return self._chunk({"tool_calls": [{**_called(token), "index": 0}]}, None)
        start = self._reasoning if token.reasoning else self._content
        return start + orjson.dumps(token.text) + self._rest

    def finish(self, count: int, *, usage: bool) -> bytes:
        """Return the last chunk, with usage where it is wanted; its `choices` is never empty."""
        spent = usage_of(self._reply, count, time.monotonic() - self._started)
        return self._chunk({}, self._reply.finish_reason, **({"usage": spent} if usage else {}))

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return json_event({**self._head, "choices": choices, "model": self._model, **more})


def _called(token: Token) -> dict[str, Any]:
    """Return a tool call in TabbyAPI's form; arguments are JSON in a string."""
    function = {"name": token.text, "arguments": "{}"}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "function": function, "type": "function"}


def usage_of(reply: Reply, count: int, seconds: float) -> dict[str, Any]:
    """Return TabbyAPI's usage object. A rate over no time at all is the word "Indeterminate"."""
    spent = max(seconds - reply.prefill, 0.0)
    return {
        "prompt_tokens": reply.prompt_tokens,
        "prompt_time": reply.prefill,
        "prompt_tokens_per_sec": _per_second(reply.prompt_tokens, reply.prefill),
        "completion_tokens": count,
        "completion_time": round(spent, 3),
        "completion_tokens_per_sec": _per_second(count, round(spent, 3)),
        "total_tokens": reply.prompt_tokens + count,
        "total_time": round(seconds, 3),
    }


def _per_second(count: int, seconds: float) -> float | str:
    return round(count / seconds, 2) if seconds > 0 else "Indeterminate"


def error_event(message: str) -> bytes:
    """Return the event of an error in a stream, in the form that loads use too."""
    return json_event({"error": {"message": message, "trace": None}})


def document(model: str, reply: Reply, tokens: list[Token], seconds: float | None) -> dict[str, Any]:
    """Return a reply that is not streamed. Blank content is null; without `seconds` usage is left out."""
    content = "".join(token.text for token in tokens if not (token.reasoning or token.tool))
    reasoning = "".join(token.text for token in tokens if token.reasoning)
    message = {
        "role": "assistant",
        "content": content if content.strip() else None,
        "reasoning_content": reasoning or None,
        "tool_calls": [_called(token) for token in tokens if token.tool] or None,
    }
    choice = {"index": 0, "finish_reason": reply.finish_reason, "message": message, "logprobs": None}
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "choices": [choice],
        "model": model,
        "usage": None if seconds is None else usage_of(reply, len(tokens), seconds),
    }
