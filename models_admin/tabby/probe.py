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
    """Judges the body of a 200, piece by piece. `silence` is for how many seconds it may bring nothing but pings."""

    def __init__(self, access: Access, silence: float) -> None:
        self._access = access
        self._silence = silence
        self._decoder = SseDecoder()
        self._reader = ReplyReader(access)
        self._answered = self._events = False
        self._last_event = time.monotonic()

    def enough(self, part: bytes) -> bool:
        """Take a piece; return whether it was enough. Raises Garbled, or TimeoutError after `silence` seconds of pings."""
        try:
            payloads = self._decoder.feed(part)
        except EventTooLong as error:
            raise Garbled(f"TabbyAPI's answer while {DOING} makes no sense: {error}") from error
        if payloads:
            self._events, self._last_event = True, time.monotonic()
            self._answered = self._reader.read(payloads) is not None or self._answered
        elif time.monotonic() - self._last_event > self._silence:
            raise TimeoutError
        return self._reader.done or self._reader.failure is not None

    def settle(self, body: bytes) -> None:
        """Return where the model has answered; raise TabbyError where it has not. `body` is the whole body."""
        if self._reader.failure is not None:
            raise self._reader.failure
        if not self._events:
            raise self._access.no_events(DOING, body)
        if not self._reader.done:
            raise StreamCut(f"TabbyAPI's reply ended without its end mark while {DOING}")
        if not self._answered:
            raise Garbled(f"TabbyAPI sent no answer while {DOING}")
