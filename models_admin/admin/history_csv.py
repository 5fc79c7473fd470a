"""The history of switches as CSV: a line for each switch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from models_admin.admin import csv_text
from models_admin.downloads import batches
from models_admin.models import GATED, Source, State, Switch
from models_admin.servers import differences
from models_admin.switching.admin_log import WHERE

MOST = 100_000
STEPS = (State.QUEUED, *GATED)
COLUMNS = (
    "number", "asked", "started", "ended", "by", "source", "rule", "from", "to", "outcome", "loaded after it",
    "replies cut", "options", "differences", *(f"seconds {step.label.lower()}" for step in STEPS), "error",
)  # fmt: skip


def csv_parts(rows: QuerySet[Switch]) -> Iterator[str]:
    """Yield the first MOST of `rows`, in their order, as CSV with a header, some lines at a time; times are in ISO 8601.

    The ids of all rows are read first, so that the order does not change meanwhile.
    """
    yield csv_text.lines([COLUMNS])
    for batch in batches(rows.values_list("pk", flat=True)[:MOST]):
        found = Switch.objects.select_related("requested_by").in_bulk(batch)
        yield csv_text.lines(_line(found[pk]) for pk in batch if pk in found)


def _line(row: Switch) -> tuple[Any, ...]:
    times = (row.created_at, row.started_at, row.finished_at)
    return (
        row.pk,
        *(each.isoformat(timespec="milliseconds") if each else "" for each in times),
        row.requested_by.get_username() if row.requested_by else "",
        WHERE[Source(row.source)],
        row.rule,
        row.previous,
        row.target,
        row.state,
        "" if row.result is None else row.result,
        row.replies_cut,
        json.dumps(row.options) if row.options else "",
        " ".join(differences.sentences(row.differences)),
        *(row.seconds.get(step.value, "") for step in STEPS),
        row.error,
    )
