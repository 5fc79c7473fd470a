"""Database work for the asyncio side: run in threads of our own, so that it never waits behind a slow page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

# One writer: SQLite has one anyway, and threads that wait for its lock sleep longer than they would queue here.
_writer = ThreadPoolExecutor(1, thread_name_prefix="write")
_readers = ThreadPoolExecutor(3, thread_name_prefix="read")
_outside = ThreadPoolExecutor(2, thread_name_prefix="tabby")


def _managed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()


async def write(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes to the database, one at a time in this process."""
    return await asyncio.get_running_loop().run_in_executor(
        _writer, partial(_managed, function, *args, **kwargs)
    )


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that only reads the database."""
    return await asyncio.get_running_loop().run_in_executor(
        _readers, partial(_managed, function, *args, **kwargs)
    )


async def ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that waits for TabbyAPI, apart from the threads that the database needs."""
    return await asyncio.get_running_loop().run_in_executor(
        _outside, partial(_managed, function, *args, **kwargs)
    )
