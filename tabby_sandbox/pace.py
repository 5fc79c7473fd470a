"""Writes tokens to a stream: at a rate, each at its own absolute time, or as fast as the reader takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from .replies import Token
from .sse import EventStream
from .work import Generation

# A flood is written in pieces of so many events: large enough to be fast, small enough to be fair.
_PIECE = 64
Encode = Callable[[Token], bytes]


async def play(
    stream: EventStream, generation: Generation, tokens: Iterable[Token], encode: Encode, rate: float
) -> None:
    """Write all tokens, one event each, or return early when the generation is aborted."""
    if rate <= 0:
        await _flood(stream, generation, tokens, encode)
    else:
        await _Paced(stream, generation, tokens, encode, rate).run()


async def _flood(
    stream: EventStream, generation: Generation, tokens: Iterable[Token], encode: Encode
) -> None:
    source = iter(tokens)
    while not generation.aborted.done():
        piece = [encode(token) for token in islice(source, _PIECE)]
        if not piece:
            return
        stream.write(b"".join(piece))
        generation.tokens += len(piece)
        await stream.drain()


class _Paced:
    """One paced stream. A chain of timers, not a task that sleeps: 200 of them must cost little."""

    def __init__(
        self,
        stream: EventStream,
        generation: Generation,
        tokens: Iterable[Token],
        encode: Encode,
        rate: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream, self._generation = stream, generation
        self._source, self._encode, self._rate = iter(tokens), encode, rate
        self._start = self._loop.time()
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        self._tick()
        try:
            await asyncio.wait((self._done, self._generation.aborted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _tick(self) -> None:
        """Write the tokens that are due by now: several after a late wake-up, so that the rate holds."""
        due = int((self._loop.time() - self._start) * self._rate) + 1 - self._sent
        piece = [self._encode(token) for token in islice(self._source, max(due, 1))]
        self._stream.write(b"".join(piece))
        self._sent += len(piece)
        self._generation.tokens += len(piece)
        if len(piece) < max(due, 1):
            self._done.set_result(None)
            return
        self._timer = self._loop.call_at(self._start + self._sent / self._rate, self._tick)
