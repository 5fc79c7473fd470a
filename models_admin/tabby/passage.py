"""What TabbyAPI answers to a request of somebody else's, passed on as it came: the events of a stream, or the whole answer.

Only what decides how to go on is looked at here; what a reply may hold is its client's business.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from models_admin.tabby.access import Access
from models_admin.tabby.chat_stream import refusal
from models_admin.tabby.connections import LOST, Connections, bounded, lost
from models_admin.tabby.errors import Garbled, StreamCut, TabbyError, TimedOut
from models_admin.tabby.reply import DOING, failure
from models_admin.tabby.wire import decode_json

MAX_ANSWER = 64 * 1024 * 1024  # bytes; embeddings of many texts are large


@dataclass(frozen=True, slots=True)
class Passed:
    """The events that one read brought: each as it came, and decoded."""

    events: list[tuple[bytes, dict[str, Any]]]

    @property
    def pieces(self) -> int:
        """How many events it holds."""
        return len(self.events)


class PassageReader:
    """Keeps each event beside what it says. `done` is set by `[DONE]`, `failure` by an error event or by what is none."""

    def __init__(self, access: Access) -> None:
        self.done = False
        self.failure: TabbyError | None = None
        self._access = access

    def read(self, payloads: list[bytes]) -> Passed | None:
        """Return the events of one read, up to the end or an error."""
        found: list[tuple[bytes, dict[str, Any]]] = []
        for payload in payloads:
            try:
                event = orjson.loads(payload)
            except ValueError:
                if payload.strip() == b"[DONE]":
                    self.done = True
                    break
                try:
                    event = decode_json(payload, DOING)
                except Garbled as error:
                    self.failure = error
                    break
                event = sound(event)  # its UTF-8 was broken
                payload = orjson.dumps(event)  # noqa: PLW2901
            if not isinstance(event, dict) or not isinstance(event.get("choices"), list):
                self.failure = self._odd(event)
                break
            found.append((payload, event))
        return Passed(found) if found else None

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
