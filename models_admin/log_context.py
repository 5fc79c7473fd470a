"""The log context: which request and which switch the code works for. Log lines carry both, also in workers.

A request's id comes with it (X-Request-ID) or is made for it, and travels to the worker in the Celery task's headers. A
switch's id is its number.
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
    """Return `given`, a request's own id, where it is 1 to 64 of the characters A-Z a-z 0-9 . _ -, else a new id."""
    return given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)


@contextmanager
def request(given: str) -> Iterator[str]:
    """Within the block, have log lines carry the id `given` if it is accepted, else a new one; yield the id."""
    reset = request_id.set(accepted_id(given))
    try:
        yield request_id.get()
    finally:
        request_id.reset(reset)


@contextmanager
def switch(number: int) -> Iterator[None]:
    """Within the block, have log lines carry the number of a switch."""
    reset = switch_id.set(number)
    try:
        yield
    finally:
        switch_id.reset(reset)
