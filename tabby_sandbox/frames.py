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
            return self._chunk({"tool_calls": [{**_called(token), "index": 0}]}, None, token.index)
        if token.index or self._reply.logprobs:
            name = "reasoning_content" if token.reasoning else "content"
            extra = {"logprobs": _logprobs([token])} if self._reply.logprobs else {}
            return self._chunk({name: token.text}, None, token.index, **extra)
        start = self._reasoning if token.reasoning else self._content
        return start + orjson.dumps(token.text) + self._rest

    def finish(self, count: int, *, usage: bool) -> bytes:
        """Return the last chunk of each choice, the very last with usage where it is wanted; no `choices` is empty."""
        spent = usage_of(self._reply, count, time.monotonic() - self._started)
        ends = [self._chunk({}, self._reply.finish_reason, index) for index in range(self._reply.choices - 1)]
        more = {"usage": spent} if usage else {}
        return b"".join(ends) + self._chunk(
            {}, self._reply.finish_reason, self._reply.choices - 1, whole=more
        )

    def document(self, tokens: list[Token], seconds: float | None) -> dict[str, Any]:
        """Return a reply that is not streamed. Blank content is null; without `seconds` usage is left out."""
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "choices": [self._choice(tokens, index) for index in range(self._reply.choices)],
            "model": self._model,
            "usage": None if seconds is None else usage_of(self._reply, len(tokens), seconds),
        }

    def _choice(self, tokens: list[Token], index: int) -> dict[str, Any]:
        own = [token for token in tokens if token.index == index]
        content = "".join(token.text for token in own if not (token.reasoning or token.tool))
        reasoning = "".join(token.text for token in own if token.reasoning)
        message = {
            "role": "assistant",
            "content": content if content.strip() else None,
            "reasoning_content": reasoning or None,
            "tool_calls": [_called(token) for token in own if token.tool] or None,
        }
        logprobs = _logprobs(own) if self._reply.logprobs else None
        reason = self._reply.finish_reason
        return {"index": index, "finish_reason": reason, "message": message, "logprobs": logprobs}

    def _chunk(
        self,
        delta: dict[str, Any],
        finish_reason: str | None,
        index: int,
        whole: dict[str, Any] | None = None,
        **more: Any,
    ) -> bytes:
        choices = [{"index": index, "delta": delta, "finish_reason": finish_reason, **more}]
        return json_event({**self._head, "choices": choices, "model": self._model, **(whole or {})})


class TextFrames(Frames):
    """The same of a text completion: TabbyAPI names the model in `model_name` where it streams."""

    def token(self, token: Token) -> bytes:
        more = {"logprobs": _text_logprobs([token])} if self._reply.logprobs else {}
        return self._text(token.text, None, token.index, **more)

    def finish(self, count: int, *, usage: bool) -> bytes:
        """Return the last chunk of each choice. With usage the finish reason of the last comes with that."""
        spent = usage_of(self._reply, count, time.monotonic() - self._started)
        ends = [self._text("", self._reply.finish_reason, index) for index in range(self._reply.choices)]
        if usage:
            last = self._reply.choices - 1
            ends[-1] = self._text("", self._reply.finish_reason, last, whole={"usage": spent})
        return b"".join(ends)

    def document(self, tokens: list[Token], seconds: float | None) -> dict[str, Any]:
        """Return a completion that is not streamed: here the model is called `model`."""
        return {**super().document(tokens, seconds), "object": "text_completion"}

    def _choice(self, tokens: list[Token], index: int) -> dict[str, Any]:
        own = [token for token in tokens if token.index == index]
        text, reason = "".join(token.text for token in own), self._reply.finish_reason
        logprobs = _text_logprobs(own) if self._reply.logprobs else None
        shown = text if text.strip() else ""
        return {"index": index, "finish_reason": reason, "logprobs": logprobs, "text": shown}

    def _text(
        self,
        text: str,
        finish_reason: str | None,
        index: int,
        whole: dict[str, Any] | None = None,
        **more: Any,
    ) -> bytes:
        choices = [{"index": index, "text": text, "finish_reason": finish_reason, **more}]
        head = {**self._head, "object": "text_completion", "choices": choices}
        return json_event({**head, "model_name": self._model, **(whole or {})})


def _logprobs(tokens: list[Token]) -> dict[str, Any]:
    leaves = [{"token": each.text, "token_id": 1, "logprob": -0.5, "top_logprobs": []} for each in tokens]
    return {"content": leaves}


def _text_logprobs(tokens: list[Token]) -> dict[str, Any]:
    said = [token.text for token in tokens]
    offsets = [sum(map(len, said[:number])) for number in range(len(said))]
    nothing = [None] * len(said)
    probabilities = {"token_logprobs": [-0.5] * len(said), "top_logprobs": nothing}
    return {"tokens": said, **probabilities, "text_offset": offsets}


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
