"""Threads of the asyncio side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from django.db import OperationalError

from models_admin import db_threads, log_context
from models_admin.db_threads import Together

needs_threads = pytest.mark.django_db(transaction=True)


@needs_threads
async def test_a_thread_logs_with_the_id_of_its_request() -> None:
    with log_context.request("from-the-proxy.1"):
        for run in (db_threads.write, db_threads.read, db_threads.ask):
            assert await run(log_context.request_id.get) == "from-the-proxy.1"
    assert await db_threads.read(log_context.request_id.get) == ""


class Written:
    """What was given to be written at a time; the first time waits until `may` is set."""

    def __init__(self, *refused: int, error: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.may = threading.Event(), threading.Event()
        self._refused, self._error = refused, error or ValueError("refused")

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.may.wait(30)
        if set(items) & set(self._refused):
            raise self._error
        return [10 * each for each in items]


async def all_of(written: Written, *items: int, most: int = 10) -> list[int | BaseException]:
    """Write the first, and while that is written the others; return what each heard."""
    together = Together(written, most)
    tasks = [asyncio.create_task(together.write(items[0]))]
    assert await asyncio.to_thread(written.begun.wait, 30)
    for each in items[1:]:  # one after the other
        tasks.append(asyncio.create_task(together.write(each)))
        for _ in range(3):
            await asyncio.sleep(0)
    written.may.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


@needs_threads
async def test_what_comes_while_something_is_written_is_written_together() -> None:
    written = Written()
    assert await all_of(written, 1, 2, 3, 4, 5, most=3) == [10, 20, 30, 40, 50]
    assert written.batches == [[1], [2, 3, 4], [5]]


@needs_threads
async def test_what_is_refused_keeps_nothing_else_from_being_written() -> None:
    written = Written(3)
    one, two, three, four = await all_of(written, 1, 2, 3, 4)
    assert (one, two, four) == (10, 20, 40)
    assert isinstance(three, ValueError)
    assert written.batches == [[1], [2, 3, 4], [2], [3], [4]]


@needs_threads
async def test_all_hear_that_the_database_is_away_and_none_is_tried_alone() -> None:
    written = Written(3, error=OperationalError("database is locked"))
    assert [type(each) for each in await all_of(written, 1, 2, 3)] == [
        int,
        OperationalError,
        OperationalError,
    ]
    assert written.batches == [[1], [2, 3]]


@needs_threads
async def test_who_has_gone_meanwhile_keeps_nobody_else_from_hearing() -> None:
    written = Written()
    together = Together(written, 10)
    gone = asyncio.create_task(together.write(1))
    assert await asyncio.to_thread(written.begun.wait, 30)
    stays = asyncio.create_task(together.write(2))
    gone.cancel()
    await asyncio.sleep(0)
    written.may.set()
    assert await asyncio.wait_for(stays, 30) == 20


@needs_threads
async def test_nothing_more_is_tried_alone_once_the_database_is_away() -> None:
    tried: list[list[int]] = []

    def write(items: Sequence[int]) -> list[int]:
        tried.append(list(items))
        if items[0] == 2:
            raise OperationalError("database is locked")
        if len(items) > 1:
            raise ValueError("refused together")
        return [10 * each for each in items]

    together = Together(write, 10)
    told = await asyncio.gather(*(together.write(each) for each in (1, 2, 3)), return_exceptions=True)
    assert [type(each) for each in told] == [int, OperationalError, OperationalError]
    assert tried == [[1, 2, 3], [1], [2]]


@needs_threads
async def test_an_answer_that_is_missing_is_an_error_and_no_wait_for_ever() -> None:
    together: Together[int, int] = Together(lambda items: [], 10)
    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="shorter"):
            await together.write(1)
