"""Two processes and one switch: who has lost it changes nothing, and no reply slips in while the gate closes."""

from __future__ import annotations

from functools import partial

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from support.rivals import acting_as, has_to_wait, let_owner_die
from support.servers import SERVER

from models_admin.models import Lease, Source, State, Switch, TabbyModel
from models_admin.servers import state_row
from models_admin.switching import gate, ownership, transitions

STEPS = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING, State.ROLLING_BACK)


@pytest.fixture(autouse=True)
def _nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)


@pytest.fixture
def asked(transactional_db: None) -> Switch:
    """A switch from `old` to `new` that waits for a worker."""
    for name in ("old", "new"):
        TabbyModel.objects.create(name=name)
    row = state_row.row(SERVER)
    row.model, row.seen_at = "old", timezone.now()
    row.save()
    return transitions.request(SERVER, "new", source=Source.API)


def claimed(by: str, switch: Switch) -> Switch:
    with acting_as(by):
        found = ownership.claim(switch.pk)
    assert found is not None
    return found


def stand_at(switch: Switch, state: State) -> None:
    for step in STEPS[: STEPS.index(state) + 1]:
        transitions.move(switch, step)


def test_a_switch_with_a_living_owner_is_not_to_be_had(asked: Switch) -> None:
    claimed("one", asked)
    with acting_as("another"):
        assert ownership.claim(asked.pk) is None
    assert asked.pk not in ownership.orphans(SERVER)


@pytest.mark.parametrize("state", STEPS)
def test_who_was_thought_dead_moves_an_adopted_switch_no_more(asked: Switch, state: State) -> None:
    frozen = claimed("frozen", asked)
    stand_at(frozen, state)
    let_owner_die(asked)
    heir = claimed("heir", asked)
    assert heir.state == state
    for new in transitions.NEXT[state]:
        with acting_as("frozen"), pytest.raises(ownership.Lost):
            transitions.move(frozen, new, result="new", error="a word of the dead")
    now = Switch.objects.get(pk=asked.pk)
    assert (now.state, now.result, now.error) == (state, asked.result, "")
    assert not ownership.beat(frozen, percent=99)
    assert Switch.objects.get(pk=asked.pk).percent == 0
    transitions.move(heir, transitions.NEXT[state][0])


def test_a_success_that_comes_too_late_does_not_change_what_is_loaded(asked: Switch) -> None:
    frozen = claimed("frozen", asked)
    stand_at(frozen, State.VERIFYING)
    let_owner_die(asked)
    claimed("heir", asked)
    before = state_row.row(SERVER)
    with pytest.raises(ownership.Lost):
        transitions.succeed(frozen, card=None)
    after = state_row.row(SERVER)
    assert (after.model, after.epoch) == (before.model, before.epoch)
    assert Switch.objects.get(pk=asked.pk).state == State.VERIFYING


def test_the_gate_closes_only_behind_whoever_is_passing_it(asked: Switch) -> None:
    """On SQLite the transactions keep each other out (IMMEDIATE); on PostgreSQL it is the lock on the Server row."""
    worker = claimed("worker", asked)
    with transaction.atomic():
        gate.enter(SERVER)
        gate.lease(SERVER, "web", ["reply 1"])
        assert has_to_wait(partial(transitions.move, Switch.objects.get(pk=asked.pk), State.DRAINING))
    transitions.move(worker, State.DRAINING)
    assert gate.remaining(SERVER) == 1


def test_nobody_passes_a_gate_that_is_being_closed(asked: Switch) -> None:
    worker = claimed("worker", asked)

    def enter() -> None:
        with transaction.atomic():
            gate.enter(SERVER)
            gate.lease(SERVER, "web", ["reply 1"])

    with transaction.atomic():
        transitions.move(worker, State.DRAINING)
        assert has_to_wait(enter)
    with pytest.raises(gate.Closed):
        enter()
    assert not Lease.objects.exists()


def test_sqlite_begins_every_transaction_with_its_lock(transactional_db: None) -> None:
    """Which is what keeps admissions and closings apart there: select_for_update() does nothing on SQLite."""
    if connection.vendor == "sqlite":
        assert settings.DATABASES["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
        with transaction.atomic():  # not a word is written in it
            assert has_to_wait(
                partial(Lease.objects.create, server_id=SERVER, holder="web", subject="reply 1")
            )
