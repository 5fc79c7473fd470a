"""What TabbyAPI answers to a request of somebody else's, passed on as it came: the events of a stream, or the whole answer.

Only what decides how to go on is looked at here; what a reply may hold is its client's business.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from models_admin.tabby.access import Access
from models_admin.tabby.chat_stream import refusal
from models_admin.tabby.connections import LOST, Connections, bounded, lost
from models_admin.tabby.errors import Garbled, StreamCut, TabbyError, TimedOut
from models_admin.tabby.reply import DOING, failure
from models_admin.tabby.wire import count, decode_json

MAX_ANSWER = 64 * 1024 * 1024  # bytes; embeddings of many texts are large
_TEXT = re.compile(rb'"(content|reasoning_content)":\s*("(?:[^"\\]|\\.)*+")')


@dataclass(frozen=True, slots=True)
class Passed:
    """The events that one read brought: each as it came, and decoded.

    Of one that differs from the event before by nothing but its text there is only that text. Such an event has one choice,
    and nothing else in its delta; its JSON is one line where that of the event before is.
    """

    events: list[tuple[bytes, dict[str, Any] | str]]

    @property
    def pieces(self) -> int:
        """How many events it holds."""
        return len(self.events)

    @property
    def usage(self) -> tuple[int | None, int | None] | None:
        """What the last event that has a usage says: tokens of prompt and completion. None: there is no such event."""
        decoded = (event for _, event in self.events if isinstance(event, dict))
        told = [event for event in decoded if isinstance(event.get("usage"), dict)]
        return tokens_of(told[-1]) if told else None


def tokens_of(answer: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens of prompt and completion by the `usage` of an answer or event; None: it does not say."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None, None
    return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))


class PassageReader:
    """Keeps each event beside what it says. `done` is set by `[DONE]`, `failure` by an error event or by what is none."""

    def __init__(self, access: Access) -> None:
        self.done = False
        self.failure: TabbyError | None = None
        self._access = access
        self._head = self._tail = b""  # what stands around the text of the last event that was decoded

    def read(self, payloads: list[bytes]) -> Passed | None:
        """Return the events of one read, up to the end or an error."""
        found: list[tuple[bytes, dict[str, Any] | str]] = []
        loads = orjson.loads
        for payload in payloads:
            if self._head and payload.startswith(self._head) and payload.endswith(self._tail):
                try:  # between two quotation marks there is one text, or this is no JSON
                    text = loads(payload[len(self._head) - 1 : 1 - len(self._tail)])
                except ValueError:
                    text = None
                if isinstance(text, str):
                    found.append((payload, text))
                    continue
            event = self._decoded(payload)
            if event is None:
                break
            found.append(event)
            self._learn(*event)
        return Passed(found) if found else None

    def _decoded(self, payload: bytes) -> tuple[bytes, dict[str, Any]] | None:
        """Return an event as it is passed on, and decoded; None where `done` or `failure` is set."""
        try:
            event = orjson.loads(payload)
        except ValueError:
            if payload.strip() == b"[DONE]":
                self.done = True
                return None
            try:
                event = decode_json(payload, DOING)
            except Garbled as error:
                self.failure = error
                return None
            event = sound(event)  # its UTF-8 was broken
            payload = orjson.dumps(event)
        if not isinstance(event, dict) or not isinstance(event.get("choices"), list):
            self.failure = self._odd(event)
            return None
        return payload, event

    def _learn(self, payload: bytes, event: dict[str, Any]) -> None:
        """Keep what stands around the text of this event, its quotation marks included, if it has one text and no more."""
        self._head = self._tail = b""
        choice = event["choices"][0] if len(event["choices"]) == 1 else None
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not (isinstance(choice, dict) and isinstance(delta, dict)):
            return
        texts = list(_TEXT.finditer(payload))
        if len(texts) != 1:
            return
        name, text = texts[0][1].decode(), orjson.loads(texts[0][2])
        if delta.get(name) != text or any(value for key, value in delta.items() if key != name):
            return
        head, tail = payload[: texts[0].start(2) + 1], payload[texts[0].end(2) - 1 :]
        other = {**event, "choices": [{**choice, "delta": {**delta, name: f"{text}?"}}]}
        if orjson.loads(head[:-1] + orjson.dumps(f"{text}?") + tail[1:]) == other:
            self._head, self._tail = head, tail

    def _odd(self, event: Any) -> TabbyError:
        words = self._access.words(event)
        if words is not None:
            return failure(words, event)
        return Garbled(f"TabbyAPI sent an event of an unknown shape while {DOING}")


def sound(value: Any) -> Any:
    """Return `value` of JSON with a question mark for each half of a character, and text for numbers that are too large."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {sound(key): sound(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [sound(each) for each in value]
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value


async def whole(
    connections: Connections, access: Access, path: str, body: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Return the answer in one piece, for which TabbyAPI may take so many seconds. Raises TabbyError.

    Cancelling closes the connection, which ends the generation.
    """
    headers = access.headers(chat=True)
    try:
        async with (
            asyncio.timeout(seconds),
            connections.session().post(
                access.base + path, json=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            if response.status != 200:
                raise await refusal(access, response)
            try:
                data = await bounded(response, MAX_ANSWER)
            except LOST as error:
                raise StreamCut(f"The connection to TabbyAPI was lost while {DOING}") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise access.unreachable(DOING) from error
    except TimeoutError as error:
        raise TimedOut(f"TabbyAPI gave no whole answer within {seconds:g} s while {DOING}") from error
    except LOST as error:
        raise lost(access, DOING, error) from error
    answer = decode_json(data, DOING) if len(data) <= MAX_ANSWER else None
    if not isinstance(answer, dict):
        raise Garbled(f"TabbyAPI's answer while {DOING} has an unknown shape, or is too long")
    return answer
