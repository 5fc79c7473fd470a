"""The gateway's open calls, as they stand in line with what other applications have generated."""

from __future__ import annotations

from datetime import datetime

from gateway.models import Call
from models_admin.switching import admission

KIND = "call"
# A call that was cut keeps its place. Each is a series of its own.
ENTRIES = """
SELECT id, person_id AS person, CAST(id AS text) AS series, CASE state WHEN 'running' THEN 1 ELSE 0 END AS running,
    holder AS origin, queued_at, not_before, created_at AS in_line_since
FROM gateway_call WHERE state IN ('waiting', 'running')
"""


def _last_end() -> datetime | None:
    ended = Call.objects.filter(ended_at__isnull=False).order_by("-ended_at")
    return ended.values_list("ended_at", flat=True).first()


provider = admission.Provider(KIND, ENTRIES, _last_end)
