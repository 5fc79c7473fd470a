"""The demand for generations: a switch that gives way to people must not take a model away from those who use it.

Generations in flight have leases. Those that wait are entries of admission, which other applications register.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models_admin.switching import admission, gate


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand at one moment.

    `waiting`: messages that wait for a reply. `people`: how many have one waiting or being written. `last_reply`: when a
    reply last ended. `oldest`: since when the oldest message waits.
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
    """Return who uses a server's model or waits for one now, such as “2 replies are being written”; '' if nobody does."""
    if replying := gate.remaining(server):
        return "a reply is being written" if replying == 1 else f"{replying} replies are being written"
    if waiting := now().waiting:
        return (
            "a message waits for its reply" if waiting == 1 else f"{waiting} messages wait for their replies"
        )
    return ""
