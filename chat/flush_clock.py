"""One clock for all replies of this process: it tells whether the event loop runs late, and sends what replies hold back."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

TICK_SECONDS = 0.025
LATE_SECONDS = 0.008  # a tick that comes this late says that the loop does not keep up


class HoldsBack(Protocol):
    """What the clock needs of a reply."""

    @property
    def holds_back(self) -> bool:
        """Whether there is something to flush."""

    def flush(self) -> None:
        """Send it."""


class Clock:
    """Tells whether the loop runs late, and flushes the replies that hold text back. Ticks only while replies stream."""

    def __init__(self) -> None:
        self.late = False
        self._lives: set[HoldsBack] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, live: HoldsBack) -> None:
        """Tick for `live` too."""
        self._lives.add(live)
        if self._task is None:
            self._task = asyncio.create_task(self._tick())

    def remove(self, live: HoldsBack) -> None:
        """Tick for `live` no more."""
        self._lives.discard(live)

    async def _tick(self) -> None:
        while self._lives:
            due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.late = time.monotonic() - due > LATE_SECONDS
            for live in tuple(self._lives):
                if live.holds_back:
                    live.flush()
        self.late = False
        self._task = None


clock = Clock()
