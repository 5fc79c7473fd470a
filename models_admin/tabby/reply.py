"""Reads a reply's events as deltas. Pure, and fast: this runs for every token of every chat."""

from __future__ import annotations

from typing import Any

import orjson

from models_admin.tabby.access import Access
from models_admin.tabby.errors import ContextOverflow, Garbled, NotLoaded, StreamError, TabbyError
from models_admin.tabby.failures import says_no_model
from models_admin.tabby.wire import MAX_WORD, Delta, Usage, decode_json, read_usage, text, usable_name, word

DOING = "answering a chat"


class ReplyReader:
    """Turns the data of chat completion events into deltas.

    `[DONE]` sets `done`. An error event, or one of an unknown shape, sets `failure`. What came before either in the same
    read is still returned; what comes after is dropped.
    """

    def __init__(self, access: Access) -> None:
        self.done = False
        self.failure: TabbyError | None = None
        self._access = access
        self._model = ""

    def read(self, payloads: list[bytes]) -> Delta | None:
        """Return the events of one read (their data) as one delta; None where they hold nothing to show."""
        texts: list[str] = []
        thoughts: list[str] = []
        finish_reason: Any = None
        usage: Usage | None = None
        event: Any = None
        pieces = 0
        loads = orjson.loads
        for payload in payloads:
            try:
                event = loads(payload)
            except ValueError:
                found = self._not_json(payload)
                if found is None:
                    break
                event = found
            try:
                choice = event["choices"][0]
                delta = choice["delta"]
                content = delta.get("content")
                thought = delta.get("reasoning_content")
                ended = choice.get("finish_reason")
            except (KeyError, IndexError, TypeError, AttributeError):
                usage = self._without_choice(event) or usage
                if self.failure is not None:
                    break
                continue
            if content:
                texts.append(content)
            if thought:
                thoughts.append(thought)
            if content or thought:
                pieces += 1
            finish_reason = ended or finish_reason
            if event.get("usage"):
                usage = self._usage(event)
        reason = word(finish_reason, MAX_WORD)
        if not (pieces or reason or usage):
            return None
        if isinstance(event, dict) and usable_name(event.get("model")):
            self._model = event["model"]
        try:
            written, reasoning = text("".join(texts)), text("".join(thoughts))
        except TypeError:
            self.failure = _garbled()
            return None
        return Delta(written, reasoning, reason or None, usage, self._model, pieces)

    def _not_json(self, payload: bytes) -> Any:
        """Return the value of an event that is no plain JSON, such as one with broken UTF-8.

        None: it was `[DONE]`, or no JSON at all; `done` or `failure` is set.
        """
        if payload.strip() == b"[DONE]":
            self.done = True
            return None
        try:
            return decode_json(payload, DOING)
        except Garbled as error:
            self.failure = error
            return None

    def _without_choice(self, event: Any) -> Usage | None:
        """Return the usage of an event without a choice, as other servers send it; set `failure` for an error event."""
        words = self._access.words(event)
        if words is not None:
            self.failure = failure(words, event)
        elif isinstance(event, dict) and event.get("choices") == []:
            return self._usage(event) if event.get("usage") else None
        else:
            self.failure = _garbled()
        return None

    def _usage(self, event: Any) -> Usage | None:
        try:
            return read_usage(event["usage"])
        except Garbled as error:
            self.failure = error
            return None


def failure(words: str, event: Any) -> TabbyError:
    """What an error event with these words means."""
    error = event.get("error")
    if isinstance(error, dict) and error.get("code") == "context_length_exceeded":
        return ContextOverflow("The conversation is too long for the model", words)
    if says_no_model(words):
        return NotLoaded("TabbyAPI has no model loaded", words)
    return StreamError(f"TabbyAPI stopped while {DOING}", words)


def _garbled() -> Garbled:
    return Garbled(f"TabbyAPI sent an event of an unknown shape while {DOING}")
