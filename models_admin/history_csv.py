"""The history of switches as CSV: a line for each, the newest first."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.db.models import QuerySet

from models_admin import differences
from models_admin.banner import WHERE
from models_admin.csv_cells import disarmed
from models_admin.models import GATED, Source, State, Switch

MOST = 100_000
STEPS = (State.QUEUED, *GATED)
COLUMNS = (
    "number", "asked", "started", "ended", "by", "source", "rule", "from", "to", "outcome", "loaded after it",
    "replies cut", "options", "differences", *(f"seconds {step.label.lower()}" for step in STEPS), "error",
)  # fmt: skip


def written(rows: QuerySet[Switch]) -> str:
    """Return the first MOST of `rows` as CSV, times in ISO 8601."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows[:MOST]:
        writer.writerow([disarmed(value) for value in _line(row)])
    return text.getvalue()


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
        " ".join(differences.told(row.differences)),
        *(row.seconds.get(step.value, "") for step in STEPS),
        row.error,
    )
