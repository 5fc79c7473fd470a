"""Who wants generations, as far as the engine needs to know: it must not take a model away from people who use it.

The engine knows of generations in flight by their leases. Those that wait stand in line for admission, by applications
that this package does not import.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models_admin.switching import admission, gate


@dataclass(frozen=True, slots=True)
class Demand:
    """Messages that wait for a reply, since when the oldest does, how many people have one waiting or being written, and
    when a reply last ended.
    """

    waiting: int = 0
    people: int = 0
    last_reply: datetime | None = None
    oldest: datetime | None = None


def now() -> Demand:
    """Return the demand as it is now, by the database."""
    waiting, people, oldest = admission.totals()
    return Demand(waiting, people, admission.last_end(), oldest)


def in_use(server: int) -> str:
    """Say who uses the model of a server or waits for one now, such as “2 replies are being written”; '' if nobody does."""
    if replying := gate.remaining(server):
        return "a reply is being written" if replying == 1 else f"{replying} replies are being written"
    if waiting := now().waiting:
        return (
            "a message waits for its reply" if waiting == 1 else f"{waiting} messages wait for their replies"
        )
    return ""
