"""A second application whose entries stand in line: calls, in a table that is there for one test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.utils import timezone

from models_admin.models import Lease
from models_admin.switching import admission, gate
from support.servers import SERVER


class Call(models.Model):  # noqa: DJ008
    """What a program of somebody's has asked for."""

    person = models.BigIntegerField()
    thread = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=8, default="waiting")
    asked_by = models.CharField(max_length=128, blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "calls"
        managed = False


TABLE = f"""
CREATE TABLE calls_call (
    id {"integer PRIMARY KEY" if connection.vendor == "sqlite" else "bigserial PRIMARY KEY"}, person bigint,
    thread varchar(64), state varchar(8), asked_by varchar(128), asked_at timestamp with time zone,
    not_before timestamp with time zone, ended_at timestamp with time zone
)
"""
ENTRIES = """
SELECT id, person, COALESCE(NULLIF(thread, ''), CAST(id AS text)) AS series,
    CASE state WHEN 'running' THEN 1 ELSE 0 END AS running, asked_by AS origin, asked_at AS queued_at, not_before,
    asked_at AS in_line_since
FROM calls_call WHERE state IN ('waiting', 'running')
"""


def last_end() -> datetime | None:
    ended = Call.objects.filter(ended_at__isnull=False).order_by("-ended_at")
    return ended.values_list("ended_at", flat=True).first()


def ask(name: str, times: int = 1, **facts: Any) -> list[int]:
    """So many calls of `name`, which any process may begin; their ids."""
    person, _ = User.objects.get_or_create(username=name)
    return [Call.objects.create(person=person.pk, **facts).pk for _ in range(times)]


def claim(holder: str = "one", room: int = 16) -> list[int]:
    """Begin those that `holder` may begin."""
    with transaction.atomic():
        gate.enter(SERVER)
        chosen = admission.claimable("call", holder, room)
        gate.lease(SERVER, holder, [f"call {pk}" for pk in chosen])
        Call.objects.filter(pk__in=chosen).update(state="running")
    return chosen


def end(call: int) -> None:
    Call.objects.filter(pk=call).update(state="ended", ended_at=timezone.now())
    Lease.objects.filter(subject=f"call {call}").delete()


@pytest.fixture
def _calls(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application, beside the chat."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("CREATE INDEX calls_by_state ON calls_call (state, id)")
        cursor.execute("CREATE INDEX ended_calls ON calls_call (ended_at) WHERE ended_at IS NOT NULL")
    monkeypatch.setattr(admission, "_providers", dict(admission._providers))
    admission.register(admission.Provider("call", ENTRIES, last_end))
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE calls_call")
