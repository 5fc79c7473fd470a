"""The gate: whether a generation may start now, and who is generating. Which one starts is for admission.py to say.

Each server has a gate, which is closed while a switch of the server is in one of the GATED states; it has no state of its
own that could get stuck.
A generation holds a Lease from before its request to TabbyAPI until its stream is closed. Passing and closing both
take the lock on the row of the server, so that no reply starts between a switch's look at the leases and its closing.
A lease is kept alive by its holder's heartbeat; one that is older than HEARTBEAT_TTL belonged to a dead process.
Whoever changes several leases locks them first, in the order of their ids, so that no two wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from models_admin import process, statements
from models_admin.models import GATED, Lease, Switch


class Closed(Exception):
    """No generation may start now: a switch is running, or no model is loaded, or TabbyAPI is out of reach."""


def closed(server: int) -> bool:
    """Whether a switch holds the gate of a server."""
    return Switch.objects.filter(server_id=server, state__in=GATED).exists()


COLUMNS = (
    "id", "model", "epoch", "unreachable_since", "out_of_service_since", "wanted", "chosen_by", "context", "most", "settles",
)  # fmt: skip


def locked(servers: Sequence[int]) -> tuple[str, list[Any]]:
    """Return the query for COLUMNS of servers in the order in which all lock them, without the lock, and its parameters."""
    shown = [f"{_card('max_seq_len')} AS context", f"{_card('max_batch_size')} AS most"]
    columns = [*COLUMNS[:-3], *shown, "CASE WHEN settles_until > %s THEN 1 ELSE 0 END AS settles"]
    query = f"SELECT {', '.join(columns)} FROM models_admin_server "  # noqa: S608 (all of it is code)
    params = [statements.stored(timezone.now()), *servers]
    return f"{query} WHERE id IN ({statements.marks(len(servers))}) ORDER BY id", params


def _card(name: str) -> str:
    """Return the expression for a number on the card of the loaded model, or NULL."""
    if connection.vendor == "postgresql":
        return f"parameters ->> '{name}'"
    return f"json_extract(parameters, '$.{name}')"


# Of servers whose rows are locked: how many switches hold the gate, and how many generations are in flight.
GATES = """
SELECT server.id, gated.number AS gated, held.number AS held FROM models_admin_server AS server
LEFT JOIN (
    SELECT server_id, COUNT(*) AS number FROM models_admin_switch WHERE state IN ({states}) GROUP BY server_id
) AS gated ON gated.server_id = server.id
LEFT JOIN (SELECT server_id, COUNT(*) AS number FROM models_admin_lease GROUP BY server_id) AS held
    ON held.server_id = server.id
WHERE server.id IN ({marks})
"""
# Whether the gate of any of these servers is open.
ANY_OPEN = """
EXISTS (SELECT 1 FROM models_admin_server AS server WHERE server.id IN ({marks}) AND NOT EXISTS (
    SELECT 1 FROM models_admin_switch AS switch WHERE switch.server_id = server.id AND switch.state IN ({states})
))
"""
_HELD_BY = [state.value for state in GATED]


def gates(rows: Sequence[Row]) -> tuple[str, list[Any]]:
    """Return the query for GATES of those that may answer, with its parameters."""
    may = [row.pk for row in rows if row.may_answer]
    query = GATES.format(states=statements.marks(len(_HELD_BY)), marks=statements.marks(len(may)))
    return query, [*_HELD_BY, *may]


def any_open(rows: Sequence[Row]) -> tuple[str, list[Any]]:
    """Return the condition ANY_OPEN of those that may answer, with its parameters."""
    may = [row.pk for row in rows if row.may_answer]
    condition = ANY_OPEN.format(marks=statements.marks(len(may)), states=statements.marks(len(_HELD_BY)))
    return condition, [*may, *_HELD_BY]


class Row(NamedTuple):
    """COLUMNS of a server, whose row is locked."""

    pk: int
    model: str
    epoch: int
    unreachable_since: Any
    out_of_service_since: Any
    wanted: str
    chosen_by: int
    context: Any
    most: Any
    settles: int

    @property
    def may_answer(self) -> bool:
        """Whether it may be given generations, if its gate is open."""
        return bool(self.model) and self.unreachable_since is None and self.out_of_service_since is None


@dataclass(frozen=True, slots=True)
class Entered:
    """A server whose gate was passed: what it runs, how much that can read, how many it writes at once (None: not known).

    `leases` says how many generations it has in flight.
    """

    pk: int
    model: str
    epoch: int
    context: int | None
    most: int | None = None
    leases: int = 0


def enter(server: int) -> Entered:
    """Pass the gate of a server, or raise Closed. What is loaded stays so, and no switch begins, until the transaction ends.

    Must be called inside the transaction that takes the leases: it locks the server's row.
    """
    return passed(lock([server]))[0]


def lock(servers: Sequence[int]) -> list[Row]:
    """Lock the rows of servers until the transaction ends, as those do who pass their gates or close them."""
    query, params = locked(servers)
    found = statements.fetch(f"{query} {statements.for_update()}", params)
    return [Row(*each) for each in found]


def passed(rows: Sequence[Row], found: Sequence[Sequence[Any]] | None = None) -> list[Entered]:
    """Return those of the servers whose gates are open, by rows that are locked. Raises Closed where none is.

    `found`: what the query of gates() says, if it was asked already: after the lock, and by a statement of its own. One that
    has waited for the lock sees nothing newer than its own beginning.
    """
    may = [row for row in rows if row.may_answer]
    if may and found is None:
        found = statements.fetch(*gates(rows))
    held = {pk: leases or 0 for pk, gated, leases in found or () if not gated}
    may = [row for row in may if row.pk in held]
    if not may:
        raise Closed
    # One that is just back may be lost again: it is given something only where no other can be.
    may = [row for row in may if not row.settles] or may
    return [
        Entered(row.pk, row.model, row.epoch, _number(row.context), _number(row.most), held[row.pk])
        for row in may
    ]


def _number(found: Any) -> int | None:
    return int(found) if isinstance(found, int) or (isinstance(found, str) and found.isdecimal()) else None


def lease(server: int, holder: str, subjects: Sequence[str]) -> list[int]:
    """Give `holder` a lease for each subject (words that name the generation), behind enter(); return their ids."""
    return leases(holder, [(server, subject) for subject in subjects])


def leases(holder: str, subjects: Sequence[tuple[int, str]]) -> list[int]:
    """Give `holder` a lease on a server for each subject, as lease() does."""
    now = statements.stored(timezone.now())
    columns = ("server_id", "holder", "subject", "created_at", "heartbeat")
    rows = [(server, holder, subject, now, now) for server, subject in subjects]
    return statements.insert("models_admin_lease", columns, rows)


def release(ids: Iterable[int]) -> None:
    """End leases; those that have ended already do no harm."""
    ended = list(ids)
    if len(ended) > 1:
        _drop(Lease.objects.filter(pk__in=ended))
    elif ended:  # at the end of each reply: one alone needs no order
        statements.run("DELETE FROM models_admin_lease WHERE id = %s", ended)


HELD = "SELECT id, revoked_at FROM models_admin_lease WHERE holder = %s ORDER BY id"
BEAT = "UPDATE models_admin_lease SET heartbeat = %s WHERE holder = %s AND id <= %s"


def touch(holder: str) -> dict[int, bool]:
    """Beat for all leases of `holder`. Return {lease id: told to let go}; an id that is missing has expired."""
    with transaction.atomic():
        # Locked first, which may take long: the time is taken when it can be written.
        held = statements.fetch(f"{HELD} {statements.for_update()}", [holder])
        if held:
            statements.run(BEAT, [statements.stored(timezone.now()), holder, held[-1][0]])
        return {pk: revoked is not None for pk, revoked in held}


def revoke(server: int) -> int:
    """Tell all who hold a lease on a server to let go. Return how many leases that are not told already."""
    with transaction.atomic():
        return _locked(Lease.objects.filter(server_id=server, revoked_at=None)).update(
            revoked_at=timezone.now()
        )


def drop_deaf(server: int) -> None:
    """Drop leases on a server whose holder lives but has not let go, twice HEARTBEAT_TTL after it was told to.

    The holder finds its lease gone at its next heartbeat, and what it writes under the old claim changes nothing.
    """
    told = timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL)
    _drop(Lease.objects.filter(server_id=server, revoked_at__lt=told))


def remaining(server: int) -> int:
    """Forget the expired leases on a server; return how many are left."""
    _drop(Lease.objects.filter(server_id=server, heartbeat__lt=process.oldest_alive()))
    return in_flight(server)


def in_flight(server: int) -> int:
    """How many leases there are on a server, expired ones too."""
    return Lease.objects.filter(server_id=server).count()


def _drop(leases: QuerySet[Lease]) -> None:
    with transaction.atomic():
        _locked(leases).delete()


def _locked(leases: QuerySet[Lease]) -> QuerySet[Lease]:
    """Lock these leases in the order of their ids until the transaction ends, and return them: no others."""
    return Lease.objects.filter(
        pk__in=list(leases.select_for_update().order_by("pk").values_list("pk", flat=True))
    )
