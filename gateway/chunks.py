"""TabbyAPI's events in OpenAI's shape, through any number of models, and what has come of the reply so far.

What fits is passed on byte for byte. Made right are: the role, which comes first; usage, which comes in an event of its own
without choices; the model's name in text completions; and one id for all, also where a second model goes on.
"""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings

from gateway import shapes
from gateway.asked import CHAT, Asked
from gateway.errors import dumped
from models_admin.tabby.passage import Passed

DONE = b"data: [DONE]\n\n"


class Chunks:
    """The chunks of one stream."""

    def __init__(self, asked: Asked) -> None:
        self.tokens = 0  # events with something of the reply that were sent
        self.too_long = False  # its text is no longer kept
        self._asked = asked
        self._id: str | None = None
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._text: list[str] = []
        self._size = 0
        self._before = 0  # tokens that earlier models wrote
        self._thoughts = False
        self._usage: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._thinks_anew = False
        self._most = settings.REPLY_MAX_CHARS
        self._steady = (
            False  # the last event was passed on as it came, and so are those that differ by their text
        )
        self._thinking = False  # that text is a thought

    @property
    def text(self) -> str:
        """The text that was sent, without thoughts."""
        return "".join(self._text)

    @property
    def complete(self) -> bool:
        """Whether every choice that has begun is finished."""
        return bool(self._finished) and self._begun <= self._finished

    def next_model(self) -> None:
        """Prepare for another model, or for the same once more."""
        self._steady = False
        self._before = self.tokens
        self._thinks_anew = self._thoughts and not self._text

    def take(self, passed: Passed, model: str) -> bytes:
        """Return what is to be sent for the events of one read."""
        out: list[bytes] = []
        for raw, event in passed.events:
            if not isinstance(event, str):
                out += self._one(raw, event, model)
            elif self._steady:
                self._keep(*((None, event) if self._thinking else (event, None)))
                out.append(self._as_it_came(raw))
            else:
                out += self._one(raw, orjson.loads(raw), model)
        return b"".join(out)

    def end(self) -> bytes:
        """Return what is to be sent behind the last event."""
        if not (self._asked.usage and self._usage):
            return DONE
        return _event({**self._last, "choices": [], "usage": self._summed(self._usage)}) + DONE

    def full(self) -> bytes:
        """Return an end for a reply that was cut with as many tokens as were asked for."""
        finish = {"index": 0, "finish_reason": "length"}
        choice = {**finish, "delta": {}} if self._asked.endpoint == CHAT else {**finish, "text": ""}
        return _event({**self._last, "choices": [choice]}) + DONE

    def _one(self, raw: bytes, event: dict[str, Any], model: str) -> list[bytes]:
        as_it_came = event.get("id") == self._id and not self._thinks_anew and _is_plain(raw, event)
        out: list[bytes] = []
        self._steady = False
        for choice in event["choices"]:
            if isinstance(choice, dict):
                if choice.get("logprobs") or self._asked.endpoint != CHAT:
                    as_it_came = False
                    shapes.complete(choice)
                index = choice.get("index")
                out += self._heard(choice, index if type(index) is int else 0, event, model)
        if usage := event.get("usage"):
            self._usage = usage if isinstance(usage, dict) else None
            if not event["choices"]:
                return out
        elif as_it_came and self._asked.endpoint == CHAT:
            self._steady = True
            out.append(self._as_it_came(raw))
            return out
        out.append(_event(self._made_right(event, model)))
        return out

    def _as_it_came(self, raw: bytes) -> bytes:
        return b"data: " + (raw[:-1] + b',"usage":null}' if self._asked.usage else raw) + b"\n\n"

    def _heard(self, choice: dict[str, Any], index: int, event: dict[str, Any], model: str) -> list[bytes]:
        """Keep what a choice brings; return what has to come before it."""
        if choice.get("finish_reason"):
            self._finished.add(index)
        begins = index not in self._begun
        self._begun.add(index)
        if self._asked.endpoint != CHAT:
            self._keep(choice.get("text"), None)
            return []
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        thought = delta.get("reasoning_content")
        self._thinking = isinstance(thought, str)
        if self._thinks_anew and thought:
            self._thinks_anew = False
            delta["reasoning_content"] = f"\n\n{thought}"
        self._keep(delta.get("content"), thought)
        if delta.get("tool_calls"):
            self.tokens += 1
        return [self._role(index, event, model)] if begins and "role" not in delta else []

    def _role(self, index: int, event: dict[str, Any], model: str) -> bytes:
        choice = {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return _event(self._made_right({**event, "choices": [choice]}, model))

    def _keep(self, text: Any, thought: Any) -> None:
        if text or thought:
            self.tokens += 1
        self._thoughts = self._thoughts or bool(thought)
        if text and isinstance(text, str) and not self.too_long:
            self._text.append(text)
            self._size += len(text)
            if self._size > self._most:
                self.too_long = True
                self._text.clear()

    def _made_right(self, event: dict[str, Any], model: str) -> dict[str, Any]:
        self._id = self._id or str(event.get("id") or "chatcmpl")
        named = event.get("model") or event.get("model_name") or model
        right = {name: value for name, value in event.items() if name not in ("model_name", "usage")}
        right |= {"id": self._id, "model": named}
        self._last = {name: value for name, value in right.items() if name != "choices"}
        return {**right, "usage": None} if self._asked.usage else right

    def _summed(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Return the last model's usage, in which what earlier ones wrote counts as written, not as prompt."""
        prompt, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not self._before or type(prompt) is not int or type(written) is not int:
            return usage
        return {
            **usage,
            "prompt_tokens": max(0, prompt - self._before),
            "completion_tokens": written + self._before,
        }


def _is_plain(raw: bytes, event: dict[str, Any]) -> bool:
    """Return whether an event can be passed on byte for byte, as one line."""
    return b"\n" not in raw and raw.endswith(b"}") and bool(event.get("model"))


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + dumped(value) + b"\n\n"
