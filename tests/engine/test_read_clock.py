"""When a reply may be read again: at once while little streams, every few ticks while much does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat.read_clock import MANY_TOKENS, Clock, _is_much

PATIENCE = 20  # seconds, for a clock that stands still


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    """A clock, with one reply that streams."""
    made = Clock()
    made.begin()
    yield made
    made.end()
    assert made._task is not None
    await asyncio.wait_for(made._task, PATIENCE)


@pytest.fixture
async def busy(clock: Clock) -> Clock:
    """The clock when so much is read that replies have to wait."""
    async with asyncio.timeout(PATIENCE):
        while not clock.busy:
            await clock.pause(1)
            await asyncio.sleep(0)
    return clock


def returns_at_once(clock: Clock, tokens: int) -> bool:
    """Whether a reply may be read again right after a read of so many tokens."""
    pause = clock.pause(tokens)
    try:
        pause.send(None)
    except StopIteration:
        return True
    pause.close()
    return False


async def test_while_little_streams_nothing_waits(clock: Clock) -> None:
    assert returns_at_once(clock, 1)


async def test_while_much_streams_each_waits_for_its_turn(busy: Clock) -> None:
    waiting = asyncio.create_task(busy.pause(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_read_that_brought_much_is_followed_by_the_next(busy: Clock) -> None:
    assert not returns_at_once(busy, MANY_TOKENS - 1)
    assert returns_at_once(busy, MANY_TOKENS)


async def test_a_reply_that_ends_while_it_waits_holds_up_no_other(busy: Clock) -> None:
    gone, other = asyncio.create_task(busy.pause(1)), asyncio.create_task(busy.pause(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(other, PATIENCE)
    assert gone.cancelled()


@pytest.mark.parametrize("replies", [30, 100])
def test_replies_that_wait_already_go_on_waiting_though_they_are_read_less_often(replies: int) -> None:
    """Of 50 tokens a second each, they then take 25 times what has come."""
    assert _is_much(replies * 50.1, already=False)
    assert _is_much(replies * 25, already=True)
    assert not _is_much(15 * 25, already=True)


async def test_a_loop_that_runs_late_is_reason_enough(clock: Clock) -> None:
    now, tries = asyncio.get_running_loop().time, 0
    while not clock.busy:
        tries += 1
        assert tries < 100
        end = now() + 0.05
        while now() < end:
            pass
        await asyncio.sleep(0)


async def test_when_little_streams_again_nothing_waits_any_more(busy: Clock) -> None:
    async with asyncio.timeout(PATIENCE):
        while busy.busy:
            await asyncio.sleep(0.001)  # in which the clock ticks
    assert returns_at_once(busy, 1)


async def test_after_the_last_reply_the_clock_stands_still(busy: Clock) -> None:
    busy.end()
    assert busy._task is not None
    await asyncio.wait_for(busy._task, PATIENCE)
    assert not busy.busy
    assert busy._task is None
    busy.begin()
