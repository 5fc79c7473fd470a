"""A switch has one runner: a claim has a token of its own, an old heartbeat alone does not make it another's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from support.heartbeats import StillHeartbeat
from support.servers import SERVER

from models_admin.models import Lease, Source, State, Switch, TabbyModel, Worker
from models_admin.servers import state_row, worker_heartbeats
from models_admin.switching import gate, ownership, runner, transitions

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr(ownership, "OWNER_GRACE_SECONDS", 0)


@pytest.fixture
def claimed() -> Switch:
    """A switch that this process carries out."""
    TabbyModel.objects.create(name="new")
    switch = ownership.claim(transitions.request(SERVER, "new", source=Source.API).pk)
    assert switch is not None
    return switch


def look_dead(switch: Switch) -> None:
    Switch.objects.filter(pk=switch.pk).update(heartbeat=timezone.now() - LONG_AGO)


class Untouchable:
    """A TabbyAPI that nobody may speak to."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"TabbyAPI was asked for {name}")


def test_a_process_that_adopts_its_own_switch_ends_its_older_runner(claimed: Switch) -> None:
    look_dead(claimed)
    again = ownership.claim(claimed.pk)
    assert again is not None
    assert not ownership.beat(claimed)
    with pytest.raises(ownership.Lost):
        transitions.move(claimed, State.DRAINING)
    with pytest.raises(ownership.Lost):
        runner.Run(claimed, Untouchable(), StillHeartbeat(claimed)).to_the_end()  # type: ignore[arg-type]
    assert ownership.beat(again)


def test_a_switch_in_living_hands_is_not_to_be_had(claimed: Switch) -> None:
    assert ownership.claim(claimed.pk) is None
    assert ownership.beat(claimed)


def test_an_owner_that_shows_itself_in_the_last_moment_keeps_its_switch(
    claimed: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat was old because nobody could write one."""
    look_dead(claimed)
    monkeypatch.setattr(
        "models_admin.switching.ownership.time.sleep", lambda seconds: ownership.beat(claimed)
    )
    assert ownership.claim(claimed.pk) is None
    assert ownership.beat(claimed)


@pytest.fixture
def slow_database(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """slow_database(): it takes an hour until the next transaction has begun."""
    began = transaction.Atomic.__enter__
    hours = [0]
    now = timezone.now

    def enter(self: Any) -> None:
        began(self)
        hours[0] = 1

    def start() -> None:
        monkeypatch.setattr(transaction.Atomic, "__enter__", enter)
        monkeypatch.setattr(timezone, "now", lambda: now() + LONG_AGO * hours[0])

    return start


def _age(moment: Any) -> timedelta:
    return timezone.now() - moment


@pytest.mark.parametrize("write", ["beat", "move", "lease", "revoke", "worker"])
def test_a_time_is_taken_when_it_is_written(
    claimed: Switch, slow_database: Callable[[], None], write: str
) -> None:
    """A time from before a long wait for the database is old already, and its writer would be taken for dead."""
    state_row.row(SERVER)
    lease = Lease.objects.create(server_id=SERVER, holder="me", subject="reply 1")
    worker_heartbeats.beat()
    slow_database()
    match write:
        case "beat":
            assert ownership.beat(claimed)
            written = Switch.objects.get(pk=claimed.pk).heartbeat
        case "move":
            transitions.move(claimed, State.DRAINING)
            written = Switch.objects.get(pk=claimed.pk).heartbeat
        case "lease":
            gate.touch("me")
            written = Lease.objects.get(pk=lease.pk).heartbeat
        case "revoke":
            gate.revoke(SERVER)
            written = Lease.objects.get(pk=lease.pk).revoked_at
        case _:
            worker_heartbeats.beat()
            written = Worker.objects.get().seen_at
    assert _age(written) < LONG_AGO
