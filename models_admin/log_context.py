"""Which request and which switch the code at hand works for: log lines carry both, across threads, tasks and processes.

A request's id comes with it (X-Request-ID) or is made for it; it travels to the worker in the Celery task's headers. A
switch's is its number.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
switch_id: ContextVar[int | None] = ContextVar("switch_id", default=None)

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def accepted_id(given: str) -> str:
    """Return the id that a request brings, if it is one (64 letters, digits, dots and dashes at most), else a new one."""
    return given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)


@contextmanager
def request(given: str) -> Iterator[str]:
    """Work for a request within the block."""
    reset = request_id.set(accepted_id(given))
    try:
        yield request_id.get()
    finally:
        request_id.reset(reset)


@contextmanager
def switch(number: int) -> Iterator[None]:
    """Work for a switch within the block."""
    reset = switch_id.set(number)
    try:
        yield
    finally:
        switch_id.reset(reset)
