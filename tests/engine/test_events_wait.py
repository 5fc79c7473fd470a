"""What waits for a Redis that takes nothing has a bound: in events, and in the text that they carry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from models_admin import events

Taken = list[list[dict[str, Any]]]


@pytest.fixture
def taken() -> Taken:
    """What Redis has been given so far, as it was given together; it takes nothing more until the sender ends."""
    return []


def _end(sender: events._Sender, go: asyncio.Event) -> None:
    """Let Redis take everything, and the sender end."""
    sender.put(None)
    sender.loop.call_soon_threadsafe(go.set)
    sender.thread.join(30)


@pytest.fixture
def stopped(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[events._Sender, asyncio.Event]]:
    """A sender whose Redis takes nothing until the event is set."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def publish(server: Redis, given: list[dict[str, Any] | None]) -> None:
        taken.append([event for event in given if event is not None])
        begun.set()
        await go.wait()

    monkeypatch.setattr(events, "SEND_SECONDS", 60.0)
    monkeypatch.setattr(events, "_publish", publish)
    made = events._Sender()
    made.put({"kind": "first"})
    asyncio.run_coroutine_threadsafe(begun.wait(), made.loop).result(30)
    yield made, go
    if made.thread.is_alive():
        _end(made, go)
    made.loop.close()
    assert made.queued_chars == 0


@pytest.fixture
def sender(stopped: tuple[events._Sender, asyncio.Event]) -> events._Sender:
    return stopped[0]


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


def test_what_waited_is_sent_together_in_its_order(
    stopped: tuple[events._Sender, asyncio.Event], taken: Taken
) -> None:
    sender, go = stopped
    for number in range(events.TOGETHER + 50):
        sender.put({"kind": "room", "number": number})
    look(sender)
    _end(sender, go)
    assert [len(each) for each in taken] == [1, events.TOGETHER, 50]
    assert [each["number"] for together in taken[1:] for each in together] == list(
        range(events.TOGETHER + 50)
    )
