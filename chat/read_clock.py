"""One clock for all replies of this process: while much streams, each is read every 30 to 40 ms and not at every token.

A read that brings one token costs as much as one that brings ten: a task that wakes up, a frame, a system call. No eye
sees fifty frames a second, so where thousands of them would go out, or the event loop runs late, a reply waits for a few
ticks of the clock before it is read again. Meanwhile what TabbyAPI sends waits in the connection's buffer, which is bounded.
Each reply waits from its own last read on, so that the work of all is spread over the ticks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

TICK_SECONDS = 0.01
PAUSE_TICKS = 4
LATE_SECONDS = 0.008  # a tick that comes this late says that the loop does not keep up
MANY_READS, FEW_READS = (
    1000.0,
    500.0,
)  # a second, of all replies: from where on, and until where, they wait for ticks
MANY_TOKENS = 20  # in one read: what it costs by itself no longer counts

Waiting = list[asyncio.Future[None]]


class Clock:
    """Says when a reply may be read again. Ticks only while replies stream."""

    def __init__(self) -> None:
        self.busy = False
        self._streaming = 0
        self._reads = 0
        self._waiting: deque[Waiting] = deque(
            [] for _ in range(PAUSE_TICKS)
        )  # until the next tick, the one after it, …
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """A reply streams from now on."""
        self._streaming += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def end(self) -> None:
        """It does no more."""
        self._streaming -= 1

    async def pause(self, tokens: int) -> None:
        """After a read that brought so many tokens, return when the next may be done: at once while little streams, or where
        so much comes that a wait would save nothing.
        """
        self._reads += 1
        if self.busy and tokens < MANY_TOKENS:
            turn = asyncio.get_running_loop().create_future()
            self._waiting[-1].append(turn)
            await turn

    async def _run(self) -> None:
        ticks, since = 0, time.monotonic()
        while self._streaming:
            due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = time.monotonic() - due > LATE_SECONDS
            ticks += 1
            if ticks % PAUSE_TICKS == 0:
                rate = self._reads / (time.monotonic() - since)
                self._reads, since = 0, time.monotonic()
                self.busy = late or _is_much(rate, already=self.busy)
            self.busy = self.busy or late
            self._waiting.append([])
            for turn in self._waiting.popleft():
                if not turn.done():
                    turn.set_result(None)
        self.busy = False
        self._task = None


def _is_much(rate: float, *, already: bool) -> bool:
    """Whether replies have to wait at so many reads a second; those that wait already are read less often by that."""
    return rate > (FEW_READS if already else MANY_READS)


clock = Clock()
