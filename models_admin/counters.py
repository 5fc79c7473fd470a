"""Counters of what web processes relay: replies, tokens and delays, summed in Redis for all processes together.

Counting is an addition in this process' memory, from its event loop's thread alone. Once a second the counts are added to
one hash in Redis; while Redis is away they stay here. A process that is killed loses at most its last second.

What each server writes is also added to a hash of the few seconds in which it came: that tells how fast the server is now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections import Counter
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

log = logging.getLogger(__name__)

KEY = "gantry:tally"
FLUSH_SECONDS = 1.0
PACE, PACE_SECONDS = "gantry:pace", 5  # the hashes of what came in so many seconds

_counts: Counter[str] = Counter()
_written: Counter[int] = Counter()  # tokens, by server
_task: asyncio.Task[None] | None = None


class Histogram:
    """Counts durations (seconds) in buckets, by upper bound. Its fields are NAME:BOUND, NAME:inf and NAME:sum."""

    def __init__(self, name: str, *bounds: float) -> None:
        self.name = name
        self.bounds = bounds
        self.fields = [f"{name}:{bound:g}" for bound in bounds] + [f"{name}:inf"]

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        _counts[self.fields[bisect_left(self.bounds, seconds)]] += 1
        _counts[f"{self.name}:sum"] += seconds  # type: ignore[assignment]

    def read(self, counts: dict[str, float]) -> tuple[list[tuple[str, float]], float]:
        """Return Prometheus' cumulative buckets [(bound, count)] and the sum, of what all_counts() returned."""
        buckets, total = [], 0.0
        for field, bound in zip(self.fields, [*(f"{each:g}" for each in self.bounds), "+Inf"], strict=True):
            total += counts.get(field, 0.0)
            buckets.append((bound, total))
        return buckets, counts.get(f"{self.name}:sum", 0.0)


FIRST_TOKEN = Histogram("first_token", 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKEN_DELAY = Histogram("token_delay", 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
CLAIM_WAIT = Histogram("claim_wait", 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LOOP_DELAY = Histogram("loop_delay", 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


def count(field: str, by: float = 1) -> None:
    """Add `by` to the counter `field`, such as “replies:complete”."""
    _counts[field] += by  # type: ignore[assignment]


def wrote(server: int, tokens: int) -> None:
    """Count tokens that a server has just written."""
    _written[server] += tokens


def start() -> None:
    """Begin to flush the counts once a second, in the running loop; a second call does nothing."""
    global _task  # noqa: PLW0603 (one a process)
    if _task is None or _task.done():
        _task = asyncio.create_task(_flush_repeatedly())


async def _flush_repeatedly() -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + FLUSH_SECONDS
        await asyncio.sleep(FLUSH_SECONDS)
        if _counts:  # a late loop delays nobody where nothing is relayed
            LOOP_DELAY.observe(max(0.0, now() - due))
        await flush()


async def flush() -> None:
    """Add the counts to those in Redis; where Redis does not take them, keep them for the next time."""
    if not _counts and not _written:
        return
    taken, written = dict(_counts), dict(_written)
    _counts.clear()
    _written.clear()  # what Redis does not take now is none of its next seconds
    wait: Any = settings.REDIS_WAIT
    server = redis.asyncio.Redis.from_url(settings.REDIS_URL, **wait)
    try:
        async with server, server.pipeline(transaction=True) as pipe:
            for field, by in taken.items():
                pipe.hincrbyfloat(KEY, field, by)
            span = _span(0)
            for number, tokens in written.items():
                pipe.hincrby(span, str(number), tokens)
            if written:
                pipe.expire(span, 3 * PACE_SECONDS)
            await pipe.execute()
    except (redis.RedisError, OSError, TimeoutError) as error:
        log.debug("What was counted stays here: Redis does not take it (%s)", error)
        _counts.update(taken)


def _span(back: int) -> str:
    """Return the key of the seconds that run now, or of those before (1)."""
    return f"{PACE}:{int(time.time() // PACE_SECONDS) - back}"


def paces() -> dict[int, float] | None:
    """Return by server the tokens a second that all processes were sent lately; None while Redis is away."""
    wait: Any = settings.REDIS_WAIT
    try:
        with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, **wait) as server:
            found = server.hgetall(_span(1))
    except (redis.RedisError, OSError):
        return None
    return {int(number): int(tokens) / PACE_SECONDS for number, tokens in found.items()}


def all_counts() -> dict[str, float]:
    """Return what all processes have counted, by field. Raises redis.RedisError or OSError."""
    wait: Any = settings.REDIS_WAIT
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, **wait) as server:
        return {field: float(value) for field, value in server.hgetall(KEY).items()}
