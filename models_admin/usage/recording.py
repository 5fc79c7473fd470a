"""Writes what replies took, in the transaction that ends them. Only this module writes Usage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from models_admin.models import Usage, UsageOutcome
from models_admin.usage import histograms
from models_admin.usage.meter import Measured


@dataclass(frozen=True, slots=True)
class ReplyUsage:
    """A reply that ends. `person` is a user's id, or 0 with the `name` of somebody else; `token` is 0 in the chat."""

    person: int
    token: int
    model: str
    kind: str
    outcome: UsageOutcome
    measured: Measured
    name: str = ""
    reason: str = ""  # why it failed, in a word
    taken_over: bool = False  # another model had begun it


BATCH = 1000  # rows that are deleted in one transaction
CHAT = "chat"  # the kind of the chat's replies; those of programs have their endpoint's name

_BUCKETS = tuple(column for name in Usage.DISTRIBUTIONS for column in histograms.columns(name))
_ADDED = (*Usage.SUMS, *_BUCKETS)
_PLACES = {column: number for number, column in enumerate(_ADDED)}
_COLUMNS = ("at", *Usage.KEY, *_ADDED)
_KEYS = 1 + len(Usage.KEY)
# A sum's row is locked until the transaction ends. All writers lock them last, and in the same order.
_INSERT = """
INSERT INTO models_admin_usage ({columns}) VALUES {rows}
ON CONFLICT ({key}) WHERE at IS NULL DO UPDATE SET {sums}
"""

_SET = ", ".join(f"{name} = models_admin_usage.{name} + excluded.{name}" for name in _ADDED)
_SINGLE = f"({', '.join(['%s'] * (_KEYS + len(Usage.SUMS)) + ['0'] * len(_BUCKETS))})"
_SUM = f"({', '.join(['%s'] * len(_COLUMNS))})"


def record(replies: Sequence[ReplyUsage]) -> None:
    """Write a row for each of the replies, which end now, and add them to the sums of the day: in one statement."""
    if not replies:
        return
    now = timezone.now()
    day = timezone.localdate(now)
    single: list[tuple[Any, ...]] = []
    sums: defaultdict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0] * len(_ADDED))
    for each in replies:
        key = (
            *(day, each.person, each.name, each.token, each.model, each.kind),
            *(each.outcome.value, each.reason),
        )
        took, first = each.measured, each.measured.first_seconds
        values = (
            *(1, took.prompt, took.completion, int(first is not None), first or 0.0, took.seconds),
            int(each.taken_over),
        )
        single.append((now, *key, *values))
        row = sums[key]
        for number, value in enumerate(values):
            row[number] += value
        for column in histograms.buckets(took):
            row[_PLACES[column]] += 1
    _write(single, [(None, *key, *sums[key]) for key in sorted(sums)])


def forget() -> int:
    """Delete the rows of single replies that are older than USAGE_DAYS, some at a time; return how many. The sums stay."""
    old = Usage.objects.filter(at__lt=timezone.now() - timedelta(days=settings.USAGE_DAYS)).order_by("at")
    deleted = 0
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += Usage.objects.filter(pk__in=ids).delete()[0]
    return deleted


def _write(single: Sequence[tuple[Any, ...]], sums: Sequence[tuple[Any, ...]]) -> None:
    every = {field.name: field for field in Usage._meta.concrete_fields}
    fields = [every[name] for name in _COLUMNS[:_KEYS]]
    prepared = [
        value
        for row in (*single, *sums)
        for value in (
            *(
                field.get_db_prep_save(value, connection)
                for field, value in zip(fields, row[:_KEYS], strict=True)
            ),
            *row[_KEYS:],
        )
    ]
    query = _INSERT.format(
        columns=", ".join(_COLUMNS),
        rows=", ".join([_SINGLE] * len(single) + [_SUM] * len(sums)),
        key=", ".join(Usage.KEY),
        sums=_SET,
    )
    with connection.cursor() as cursor:
        cursor.execute(query, prepared)
