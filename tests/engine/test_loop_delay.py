"""That an event loop which is held up is seen before people notice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from models_admin import counters


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch, settings: Any) -> AsyncIterator[Counter[str]]:
    """What this process counts, as nobody takes it; every tenth of a second it is tried."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(counters, "FLUSH_SECONDS", 0.1)
    monkeypatch.setattr(counters, "_task", None)
    monkeypatch.setattr(counters, "_counts", Counter())
    counters.start()
    yield counters._counts
    assert counters._task is not None
    counters._task.cancel()


async def observed(kept: Counter[str], number: int) -> list[str]:
    """Wait for so many observations; return the fields in which they are."""
    async with asyncio.timeout(20):
        while kept_of(kept).total() < number:
            await asyncio.sleep(0.01)
    return list(kept_of(kept))


def kept_of(kept: Counter[str]) -> Counter[str]:
    return Counter({name: kept[name] for name in counters.LOOP_DELAY.fields if name in kept})


async def test_a_loop_that_is_held_up_is_counted_as_late(kept: Counter[str]) -> None:
    counters.count("replies:complete")
    await asyncio.sleep(0)  # the sleep of the counting begins
    time.sleep(0.75)  # a program that holds the loop up  # noqa: ASYNC251
    (field,) = await observed(kept, 1)
    assert field in ("loop_delay:1", "loop_delay:inf")


async def test_a_process_that_relays_nothing_counts_nothing(
    kept: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = asyncio.Semaphore(0)

    async def flush() -> None:
        twice.release()

    monkeypatch.setattr(counters, "flush", flush)
    async with asyncio.timeout(20):
        await twice.acquire()
        await twice.acquire()
    assert not kept
