"""Which generations start next: one line for all applications that have any, first come, first served within the limits.

Each application keeps its entries in tables of its own, and registers a Provider that shows the open ones. One query over
all of them decides. REPLIES_PER_USER and REPLIES_AT_ONCE count across all kinds, and whoever stands before an entry keeps
his place from it, also where another kind's code or another process is to begin him.

Entries stand in the order of moments, by the clocks of the hosts where people asked. Only the order hangs on these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from models_admin import statements
from models_admin.statements import marks, stored
from models_admin.switching import gate

# An entry is first offered to the process that was asked for it; after this others may take it.
COURTESY = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class Provider:
    """The open entries of one application: those that wait, and those that are being generated.

    `kind` names them, also in leases (“reply 17”). `entries` is a SELECT of all of them that must not walk through what has
    ended, without parameters, and with these columns:

        id             of entries with the same series, the one with the lowest begins first
        person         the id of the user for whom it is
        series         text: of one series, one entry runs at a time
        running        1 while it is being generated, 0 while it waits
        origin         the name of the process that was asked; '' where any process may begin it at once
        queued_at      since when it waits: its origin has COURTESY to begin it
        not_before     when it may begin, or NULL
        in_line_since  its place in the line

    `last_end` tells when an entry last ended. An entry that waits keeps its place from those behind it: one that nobody will
    begin any more must be taken out.
    """

    kind: str
    entries: str
    last_end: Callable[[], datetime | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that waits in no table yet: it will be written in this transaction, with these values in its columns."""

    id: int
    person: int
    series: str
    origin: str
    since: datetime  # queued_at and in_line_since


COLUMNS = "id, person, series, running, origin, queued_at, not_before, in_line_since"
_providers: dict[str, Provider] = {}


def register(provider: Provider) -> None:
    """Let the entries of `provider` stand in line with all others: to be called when its application is ready."""
    _providers[provider.kind] = provider


# Of all open entries those that wait and may start now: the first of their series if none of it runs, ripe, and within what
# is left of their person's limit. So whoever is at his limit takes no place in line from others. Their places count from
# those that run, up to the limit for all; those of the asking kind that are offered to the asking process are its own.
CHOOSE = """
SELECT id, series FROM (
    SELECT id, kind, series, origin, queued_at,
        running_now + ROW_NUMBER() OVER (ORDER BY in_line_since, kind, id) AS place
    FROM (
        SELECT opened.*, busy + ROW_NUMBER() OVER (PARTITION BY person ORDER BY in_line_since, kind, id) AS turn
        FROM (
            SELECT entry.*, ROW_NUMBER() OVER (PARTITION BY kind, series ORDER BY running DESC, id) AS in_series,
                SUM(running) OVER (PARTITION BY person) AS busy, SUM(running) OVER () AS running_now
            FROM ({line}) AS entry
        ) AS opened
        WHERE in_series = 1 AND running = 0 AND (not_before IS NULL OR not_before <= %s)
    ) AS due
    WHERE turn <= %s
) AS startable
WHERE place <= %s AND kind = %s AND (origin IN (%s, '') OR queued_at < %s) {but}
ORDER BY place LIMIT %s
"""


def claimable(kind: str, holder: str, room: int) -> list[int]:
    """The entries of `kind` that the process `holder` may begin now, the first in line first, at most `room`.

    To be called behind gate.enter(), in the transaction that takes the leases and changes the entries' state. The lock on
    the rows of all servers keeps two processes from choosing at once.
    """
    return [pk for pk, _ in _ask(CHOOSE, [*_limits(kind, holder), room], but="")]


OF_THESE = "AND id IN ({marks}) AND {open}"


def startable(
    kind: str, holder: str, entries: Sequence[Entry], told: str, rows: Sequence[gate.Row]
) -> list[tuple[Any, ...]]:
    """What the query `told` tells of those of the new `entries` that `holder` may begin as soon as they are written.

    In `told` stands {chosen}, a SELECT of their `id` and `series`, and behind it {gates}, that of gate.gates(). To be called
    behind the lock alone that gate.enter() takes, with its `rows`: where no gate is open, none may begin.
    """
    ids = [entry.id for entry in entries]
    gates, of_gates = gate.gates(rows)
    is_open, of_open = gate.any_open(rows)
    but = OF_THESE.format(marks=marks(len(ids)), open=is_open)
    params = [*_limits(kind, holder), *ids, *of_open, len(ids), *of_gates]
    return _ask(told.format(chosen=CHOOSE, gates=gates), params, kind, entries, but=but)


def _limits(kind: str, holder: str) -> list[Any]:
    now = timezone.now()
    ripe, offered = map(stored, (now, now - COURTESY))
    return [ripe, settings.REPLIES_PER_USER, settings.REPLIES_AT_ONCE, kind, holder, offered]


PLACES = """
SELECT id, place FROM (
    SELECT id, kind, ROW_NUMBER() OVER (ORDER BY in_line_since, kind, id) AS place FROM ({line}) AS entry WHERE running = 0
) AS waiting
WHERE kind = %s AND id IN ({marks})
"""


def places(kind: str, ids: Sequence[int]) -> dict[int, int]:
    """Where each of these entries stands in line (1: it is the next), those that do not wait left out."""
    if not ids:
        return {}
    return dict(_ask(PLACES, [kind, *ids], marks=marks(len(ids))))


TOTALS = """
SELECT COUNT(CASE WHEN running = 0 THEN 1 END), COUNT(DISTINCT person), MIN(CASE WHEN running = 0 THEN queued_at END)
FROM ({line}) AS entry
"""


def totals() -> tuple[int, int, datetime | None]:
    """How many entries wait, how many people have an open one, and since when the one waits that has waited longest."""
    ((waiting, people, oldest),) = _ask(TOTALS)
    return waiting, people, _moment(oldest)


def last_end() -> datetime | None:
    """When a generation last ended, by what the providers know."""
    return max(filter(None, (provider.last_end() for provider in _providers.values())), default=None)


def _ask(
    query: str, params: Iterable[Any] = (), kind: str = "", entries: Sequence[Entry] = (), **parts: str
) -> list[tuple[Any, ...]]:
    """Ask of the line, in which `entries` of `kind` stand too; `{line}` comes in the query before its `params`."""
    selects = [
        f"SELECT '{each.kind}' AS kind, {COLUMNS} FROM ({each.entries}) AS {each.kind}"  # noqa: S608 (all of it is code)
        for each in _providers.values()
    ]
    new: list[Any] = []
    for each in entries:
        selects.append("SELECT %s, %s, %s, %s, 0, %s, %s, NULL, %s")
        new += [
            kind,
            each.id,
            each.person,
            each.series,
            each.origin,
            stored(each.since),
            stored(each.since),
        ]
    return statements.fetch(query.format(line=" UNION ALL ".join(selects), **parts), [*new, *params])


def _moment(found: datetime | str | None) -> datetime | None:
    """A moment as the database has it, which on SQLite is text in UTC."""
    moment = parse_datetime(found) if isinstance(found, str) else found
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
