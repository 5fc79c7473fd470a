"""Whether the loaded model answers: one token, as a stream, because that is how every chat is answered."""

from __future__ import annotations

import time
from typing import Any, Final

from models_admin.tabby.access import Access
from models_admin.tabby.errors import Garbled, StreamCut
from models_admin.tabby.reply import ReplyReader
from models_admin.tabby.sse import EventTooLong, SseDecoder

DOING: Final = "answering one token"
BODY: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1,
    "stream": True,
}


class Probe:
    """Fed with what a 200 brings, piece by piece. `silence` is how many seconds it may bring nothing but pings."""

    def __init__(self, access: Access, silence: float) -> None:
        self._access = access
        self._silence = silence
        self._decoder = SseDecoder()
        self._reader = ReplyReader(access)
        self._answered = self._events = False
        self._last = time.monotonic()

    def enough(self, part: bytes) -> bool:
        """Take a piece; whether no more is needed. Raises TimeoutError where pings alone came for too long."""
        try:
            payloads = self._decoder.feed(part)
        except EventTooLong as error:
            raise Garbled(f"TabbyAPI's answer while {DOING} makes no sense: {error}") from error
        if payloads:
            self._events, self._last = True, time.monotonic()
            self._answered = self._reader.read(payloads) is not None or self._answered
        elif time.monotonic() - self._last > self._silence:
            raise TimeoutError
        return self._reader.done or self._reader.failure is not None

    def settle(self, body: bytes) -> None:
        """Raise what was wrong with the answer, whose bytes were `body`; return where it was one."""
        if self._reader.failure is not None:
            raise self._reader.failure
        if not self._events:
            raise self._access.no_events(DOING, body)
        if not self._reader.done:
            raise StreamCut(f"TabbyAPI's reply ended without its end mark while {DOING}")
        if not self._answered:
            raise Garbled(f"TabbyAPI sent no answer while {DOING}")
