"""A turn that is over ends what is read, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from support.servers import SERVER

from gateway.calls import LetGo, LiveCall
from gateway.claims import Arrival, Turn


def _running() -> LiveCall:
    call = LiveCall(1, Arrival(1, 1, "chat/completions", datetime.min))
    call.begin(Turn(1, SERVER, "alpha", None, 1, 0.0))
    return call


async def _wait() -> None:
    await asyncio.Event().wait()


async def test_what_is_read_ends_with_the_turn_and_the_task_goes_on() -> None:
    call = _running()
    asyncio.get_running_loop().call_soon(call.let_go)
    with pytest.raises(LetGo):
        await call.read(_wait)
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0, "nobody wants the task to end"
    with pytest.raises(TimeoutError):  # which a task that seems cancelled would never see
        async with asyncio.timeout(0):
            await _wait()


async def test_a_caller_who_goes_at_the_same_moment_has_gone() -> None:
    call = _running()
    task = asyncio.create_task(call.read(_wait))
    await asyncio.sleep(0)
    call.let_go()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()


async def test_the_end_of_a_turn_cuts_nothing_that_is_sent() -> None:
    call = _running()
    call.let_go()
    await asyncio.sleep(0)
    with pytest.raises(LetGo):
        await call.read(_wait)
    call.begin(Turn(2, SERVER, "beta", None, 2, 0.0))

    async def more() -> str:
        return "more"

    assert await call.read(more) == "more"
