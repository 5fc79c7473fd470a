"""Reads what replies took, from the sums of the days: what that costs depends on the days, not on the history."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Min, QuerySet, Sum
from django.utils import timezone

from models_admin.models import Token, Usage

MOST_DAYS = 366
GROUPS = ("day", "person", "token", "model", "kind", "outcome")
NOBODY = "(deleted account)"
GONE = "(deleted token)"


@dataclass(frozen=True, slots=True)
class Span:
    """Days, the first and the last one included."""

    first: date
    last: date

    @classmethod
    def of_days(cls, days: int) -> Span:
        """Return so many days up to today; MOST_DAYS at most."""
        today = timezone.localdate()
        return cls(today - timedelta(days=max(1, min(days, MOST_DAYS)) - 1), today)

    def days(self) -> Iterator[date]:
        """Yield the days, the oldest first."""
        for number in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Line:
    """What the replies took that have these `keys` (by the name of the group) in common."""

    keys: dict[str, Any]
    replies: int
    prompt_tokens: int
    completion_tokens: int
    first_seconds: float | None  # on average, from asking TabbyAPI to the first token; None: not known of any
    seconds: float

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def sums(span: Span) -> QuerySet[Usage]:
    """Return the sums of these days."""
    return Usage.objects.filter(at__isnull=True, day__gte=span.first, day__lte=span.last).order_by()


def lines(span: Span, by: Sequence[str], most: int | None = None) -> list[Line]:
    """Return what was taken, by these GROUPS: the newest day first, else what took most.

    People are named by their username or, in brackets if they have no account, by what a token says; the chat's token is ''.
    """
    columns = [each for group in by for each in (("person", "name") if group == "person" else (group,))]
    found = sums(span).values(*columns) if columns else sums(span).values("at")
    rows = list(found.annotate(**{f"all_{name}": Sum(name) for name in Usage.SUMS}))
    rows.sort(
        key=lambda row: (row["all_prompt_tokens"] + row["all_completion_tokens"], str(row)), reverse=True
    )
    if "day" in by:
        rows.sort(key=lambda row: row["day"], reverse=True)
    rows = rows[:most]
    names = _Names(rows)
    return [_line(row, by, names) for row in rows]


def _line(row: dict[str, Any], by: Sequence[str], names: _Names) -> Line:
    firsts = row["all_firsts"]
    return Line(
        {group: names.of(group, row) for group in by},
        row["all_replies"],
        row["all_prompt_tokens"],
        row["all_completion_tokens"],
        row["all_first_seconds"] / firsts if firsts else None,
        row["all_seconds"],
    )


class _Names:
    """The names of the people and tokens in some rows."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        people = {row["person"] for row in rows if row.get("person")}
        tokens = {row["token"] for row in rows if row.get("token")}
        self._people: dict[int, str] = _named(User.objects.filter(pk__in=people), "username")
        self._tokens: dict[int, str] = _named(Token.objects.filter(pk__in=tokens), "name")

    def of(self, group: str, row: dict[str, Any]) -> Any:
        if group == "person":
            return self._people.get(row["person"], NOBODY) if row["person"] else f"({row['name']})"
        if group == "token":
            return self._tokens.get(row["token"], GONE) if row["token"] else ""
        return row[group]


def _named(rows: QuerySet[Any], column: str) -> dict[int, str]:
    return dict(rows.values_list("pk", column))


Totals = dict[tuple[str, str], tuple[int, int, int]]


class ModelTotals:
    """Replies, tokens of prompts and of answers since the beginning, by (model, outcome).

    Days that are over never change: a process reads each of them once. The last two are read each time, because a reply that
    ends at midnight may be written later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._past: Totals = {}
        self._until = date.min  # all days before are in `_past`

    def read(self) -> Totals:
        """Return the totals; those of models that came first stand first."""
        open_since = timezone.localdate() - timedelta(days=1)
        with self._lock:
            if self._until < open_since:
                self._past = _added(
                    self._past, Usage.objects.filter(day__gte=self._until, day__lt=open_since)
                )
                self._until = open_since
            return _added(self._past, Usage.objects.filter(day__gte=self._until))


def _added(before: Totals, usage: QuerySet[Usage]) -> Totals:
    rows = (
        usage.filter(at__isnull=True)
        .values_list("model", "outcome")
        .annotate(
            begun=Min("day"),
            number=Sum("replies"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
        )
        .order_by("begun", "model", "outcome")
    )
    totals = dict(before)
    for model, outcome, _, *new in rows:
        old = totals.get((model, outcome), (0, 0, 0))
        totals[model, outcome] = (old[0] + new[0], old[1] + new[1], old[2] + new[2])
    return totals
