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


BATCH = 1000  # rows that are deleted in one transaction
CHAT = "chat"  # the kind of the chat's replies; those of programs have their endpoint's name

_COLUMNS = ("at", *Usage.KEY, *Usage.SUMS)
# A sum's row is locked until the transaction ends. All writers lock them last, and in the same order.
_INSERT = """
INSERT INTO models_admin_usage ({columns}) VALUES {rows}
ON CONFLICT ({key}) WHERE at IS NULL DO UPDATE SET {sums}
"""


def record(replies: Sequence[ReplyUsage]) -> None:
    """Write a row for each of the replies, which end now, and add them to the sums of the day: in one statement."""
    if not replies:
        return
    now = timezone.now()
    day = timezone.localdate(now)
    single: list[tuple[Any, ...]] = []
    sums: defaultdict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0] * len(Usage.SUMS))
    for each in replies:
        key = (day, each.person, each.name, each.token, each.model, each.kind, each.outcome.value)
        took, first = each.measured, each.measured.first_seconds
        values = (1, took.prompt, took.completion, int(first is not None), first or 0.0, took.seconds)
        single.append((now, *key, *values))
        sums[key] = [old + new for old, new in zip(sums[key], values, strict=True)]
    _write([*single, *((None, *key, *sums[key]) for key in sorted(sums))])


def forget() -> int:
    """Delete the rows of single replies that are older than USAGE_DAYS, some at a time; return how many. The sums stay."""
    old = Usage.objects.filter(at__lt=timezone.now() - timedelta(days=settings.USAGE_DAYS)).order_by("at")
    deleted = 0
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += Usage.objects.filter(pk__in=ids).delete()[0]
    return deleted


def _write(rows: Sequence[tuple[Any, ...]]) -> None:
    every = {field.name: field for field in Usage._meta.concrete_fields}
    fields = [every[name] for name in _COLUMNS]
    prepared = [
        field.get_db_prep_save(value, connection)
        for row in rows
        for field, value in zip(fields, row, strict=True)
    ]
    marks = f"({', '.join(['%s'] * len(_COLUMNS))})"
    query = _INSERT.format(
        columns=", ".join(_COLUMNS),
        rows=", ".join([marks] * len(rows)),
        key=", ".join(Usage.KEY),
        sums=", ".join(f"{name} = models_admin_usage.{name} + excluded.{name}" for name in Usage.SUMS),
    )
    with connection.cursor() as cursor:
        cursor.execute(query, prepared)
