"""Database work for the event loop: it runs in threads of its own, so that it never waits behind a slow page."""

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
