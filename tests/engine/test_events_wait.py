"""What waits for a Redis that takes nothing has a bound: in events, and in the text that they carry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from models_admin import events

Taken = list[dict[str, Any]]


@pytest.fixture
def taken() -> Taken:
    """What Redis has been given so far; it never finishes with the first event until `go` is set."""
    return []


@pytest.fixture
def sender(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> Iterator[events._Sender]:
    begun, go = asyncio.Event(), asyncio.Event()

    async def publish(server: Redis, channel: str, event: bytes) -> None:
        taken.append(orjson.loads(event))
        begun.set()
        await go.wait()

    monkeypatch.setattr(events, "SEND_SECONDS", 60.0)
    monkeypatch.setattr(Redis, "publish", publish)
    made = events._Sender()
    made.put({"kind": "first"})
    asyncio.run_coroutine_threadsafe(begun.wait(), made.loop).result(30)
    yield made
    made.put(None)
    made.loop.call_soon_threadsafe(go.set)
    made.thread.join(30)
    made.loop.close()
    assert made.queued_chars == 0


async def waits(sender: events._Sender) -> tuple[int, int]:
    return sender.queue.qsize(), sender.queued_chars


def look(sender: events._Sender) -> tuple[int, int]:
    return asyncio.run_coroutine_threadsafe(waits(sender), sender.loop).result(30)


def test_so_much_text_waits_and_the_newest_stays(sender: events._Sender, taken: Taken) -> None:
    for number in range(40):
        sender.put({"kind": "room", "texts": ["x" * 1024 * 1024], "number": number})
    assert look(sender) == (16, 16 * 1024 * 1024)
    sender.put(
        {"kind": "room", "texts": ["x" * 40 * 1024 * 1024], "number": 40}
    )  # by itself it may be larger
    assert look(sender) == (1, 40 * 1024 * 1024)


def test_so_many_events_wait(sender: events._Sender) -> None:
    for _ in range(events.PENDING + 50):
        sender.put({"kind": "backend"})
    assert look(sender) == (events.PENDING, 0)
