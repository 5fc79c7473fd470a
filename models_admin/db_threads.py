"""Database work for the event loop: it runs in threads of its own, so that it never waits behind a slow page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# One writer: SQLite has one anyway, and threads that wait for its lock sleep longer than a queue takes here.
_writer = ThreadPoolExecutor(1, thread_name_prefix="write")
_readers = ThreadPoolExecutor(3, thread_name_prefix="read")
_outside = ThreadPoolExecutor(2, thread_name_prefix="tabby")


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run `work` in a thread of the pool, with this context: its log lines carry the same ids."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, copy_context().run, partial(_with_fresh_connections, work))


def _with_fresh_connections(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


def away(error: BaseException) -> bool:
    """Whether `error` says that the database is away, locked or full, so that the same work may be tried again.

    PostgreSQL's program limits (SQLSTATE 54…) come as an OperationalError too, but no second try changes them.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not str(getattr(error.__cause__, "sqlstate", None) or "").startswith("54")


async def write(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns, which writes to the database: one such call at a time in this process."""
    return await _run(_writer, partial(function, *args, **kwargs))


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns, which only reads the database."""
    return await _run(_readers, partial(function, *args, **kwargs))


async def ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns, which waits for TabbyAPI: it runs in threads that the database does not need."""
    return await _run(_outside, partial(function, *args, **kwargs))


class Together(Generic[T, R]):
    """Writes of one kind: those that come while others are written are written next, by one call of `function`.

    `function` writes what it is given, `most` at a time, in one transaction, and returns what became of each.
    """

    def __init__(self, function: Callable[[Sequence[T]], Sequence[R]], most: int) -> None:
        self._function, self._most = function, most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, item: T) -> R:
        """Return what became of it, when it is written; raises what refused it, and not what refused another."""
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None or self._writing.done():
            # In a context of its own, because its log lines are about many.
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())
        return await written

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            found = await self._outcomes([item for item, _ in taken])
            for (_, written), outcome in zip(taken, found, strict=True):
                if written.done():  # whoever waited has gone
                    continue
                if isinstance(outcome, BaseException):
                    written.set_exception(outcome)
                else:
                    written.set_result(outcome)

    async def _outcomes(self, items: Sequence[T]) -> list[R | BaseException]:
        """Write `items`; where that is refused, one by one, which shows whose fault it is, while the database answers."""
        try:
            return [each for _, each in zip(items, await write(self._function, items), strict=True)]
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            if away(error) or len(items) == 1:
                return [error] * len(items)
        outcomes: list[R | BaseException] = []
        for number, each in enumerate(items):
            outcomes += await self._outcomes([each])
            if isinstance(last := outcomes[-1], BaseException) and away(last):
                return outcomes + [last] * (len(items) - number - 1)
        return outcomes
