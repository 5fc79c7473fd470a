"""Database work for the asyncio side: run in threads of our own, so that it never waits behind a slow page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

# One writer: SQLite has one anyway, and threads that wait for its lock sleep longer than they would queue here.
_writer = ThreadPoolExecutor(1, thread_name_prefix="write")
_readers = ThreadPoolExecutor(3, thread_name_prefix="read")
_outside = ThreadPoolExecutor(2, thread_name_prefix="tabby")


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Do it in a thread of the pool, which logs with the ids of the request and the switch at hand."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, copy_context().run, partial(_managed, work))


def _managed(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


def away(error: BaseException) -> bool:
    """Whether the database is away, locked or out of room, and the same may be tried again: nothing is wrong with the row.

    PostgreSQL's program limits (SQLSTATE 54…) come as an OperationalError too, but no second try changes them.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not str(getattr(error.__cause__, "sqlstate", None) or "").startswith("54")


async def write(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes to the database, one at a time in this process."""
    return await _run(_writer, partial(function, *args, **kwargs))


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that only reads the database."""
    return await _run(_readers, partial(function, *args, **kwargs))


async def ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that waits for TabbyAPI, apart from the threads that the database needs."""
    return await _run(_outside, partial(function, *args, **kwargs))
