"""Who wants replies, as far as the engine needs to know: it must not take a model away from people who use it.

The engine knows of generations in flight by their leases, but not of messages that wait: those are the chat's. So the
application that has them tells, by registering a callable when it is ready; this package imports no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from models_admin.switching import gate


@dataclass(frozen=True, slots=True)
class Demand:
    """Messages that wait for a reply, since when the oldest does, how many people have one waiting or being written, and
    when a reply last ended.
    """

    waiting: int = 0
    people: int = 0
    last_reply: datetime | None = None
    oldest: datetime | None = None


_tell: Callable[[], Demand] = Demand


def register(tell: Callable[[], Demand]) -> None:
    """Have `tell` asked (a query or two) for the demand. The last one to register counts."""
    global _tell  # noqa: PLW0603 (set once, when the applications are ready)
    _tell = tell


def now() -> Demand:
    """Return the demand as it is now, by the database."""
    return _tell()


def in_use() -> str:
    """Say who uses the model or waits for one right now, such as “2 replies are being written”; '' if nobody does."""
    if replying := gate.remaining():
        return "a reply is being written" if replying == 1 else f"{replying} replies are being written"
    if waiting := now().waiting:
        return (
            "a message waits for its reply" if waiting == 1 else f"{waiting} messages wait for their replies"
        )
    return ""
