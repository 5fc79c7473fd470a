"""One change of several servers: one after the other, and never so that nobody answers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from support.servers import SERVER

from models_admin.models import Rollout, RolloutState, Server, Source, State, Switch, TabbyModel
from models_admin.servers import known, state_row
from models_admin.switching import ownership, rollout, transitions
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db
SERVERS = (SERVER, SERVER + 1, SERVER + 2)
STEPS = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING)


@pytest.fixture(autouse=True)
def _three_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    monkeypatch.setattr(known, "all_servers", lambda: list(SERVERS))
    for name in ("old", "new", "third"):
        TabbyModel.objects.create(name=name)
    for server in SERVERS:
        row = state_row.row(server)
        row.model, row.options, row.seen_at = "old", {"cache_mode": "Q8"}, timezone.now()
        row.save()


def begun(target: str = "new", servers: tuple[int, ...] = SERVERS) -> Rollout:
    whole = rollout.request(target, servers, source=Source.API).rollout
    assert whole is not None
    return whole


def done(row: Rollout, server: int, *, ends: State = State.SUCCEEDED) -> Switch:
    """Carry out the switch of `server`, which must be the one under way, and have the rollout go on."""
    (switch,) = Switch.objects.filter(rollout=row, finished_at=None)
    assert switch.server_id == server
    claimed = ownership.claim(switch.pk)
    assert claimed is not None
    for state in STEPS:
        transitions.move(claimed, state)
    if ends == State.SUCCEEDED:
        transitions.succeed(claimed, card=ModelCard(claimed.target, {}), options=claimed.options)
    else:
        transitions.move(claimed, State.ROLLING_BACK, error="It does not fit.")
        transitions.move(claimed, ends, result="old")
    rollout.advance(row.pk)
    row.refresh_from_db()
    return claimed


def models() -> list[str]:
    return [state_row.row(server).model for server in SERVERS]


def test_servers_are_changed_one_after_the_other() -> None:
    row = begun()
    for number, server in enumerate(SERVERS, start=1):
        assert row.state == RolloutState.RUNNING
        rollout.advance(row.pk)
        rollout.advance(row.pk)  # whoever looks meanwhile changes nothing
        assert Switch.objects.filter(rollout=row).count() == number
        done(row, server)
    assert (row.state, row.error, models()) == (RolloutState.SUCCEEDED, "", ["new"] * 3)
    assert row.finished_at is not None
    assert rollout.running_id() is None
    rollout.advance(row.pk)
    assert Switch.objects.count() == 3


def test_the_first_failure_ends_it_and_the_rest_is_not_touched() -> None:
    row = begun()
    done(row, SERVERS[0])
    done(row, SERVERS[1], ends=State.FAILED)
    assert row.state == RolloutState.FAILED
    assert row.error.endswith(": It does not fit.")
    assert models() == ["new", "old", "old"]
    assert Switch.objects.count() == 2


def test_one_at_a_time_and_the_same_one_is_joined() -> None:
    row = begun()
    assert begun() == row
    with pytest.raises(rollout.Busy) as refused:
        begun("third")
    assert refused.value.rollout == row
    with pytest.raises(IntegrityError), transaction.atomic():
        Rollout.objects.create(source=Source.API, drain_seconds=0)
    assert Switch.objects.count() == 1


def test_what_is_refused_at_the_first_server_leaves_nothing_behind() -> None:
    with pytest.raises(transitions.UnknownModel):
        begun("nothing-like-it")
    transitions.request(SERVERS[0], "third", source=Source.ADMIN)
    with pytest.raises(transitions.Conflict):
        begun()
    assert not Rollout.objects.exists()


def test_a_change_under_way_at_the_next_server_ends_it_and_the_same_one_is_taken_in() -> None:
    row = begun(servers=SERVERS[:2])
    same = transitions.request(SERVERS[1], "new", source=Source.ADMIN)
    done(row, SERVERS[0])
    same.refresh_from_db()
    assert same.rollout == row
    done(row, SERVERS[1])
    assert row.state == RolloutState.SUCCEEDED
    row = begun("old", SERVERS[:2])
    transitions.request(SERVERS[1], "third", source=Source.ADMIN)
    done(row, SERVERS[0])
    assert row.state == RolloutState.FAILED
    assert "Another change is under way" in row.error


def test_cancelling_stops_at_the_server_at_hand() -> None:
    row = begun()
    done(row, SERVERS[0])
    rollout.cancel(row, user=None)
    row.refresh_from_db()
    assert (row.state, models()) == (RolloutState.CANCELLED, ["new", "old", "old"])
    assert [each.state for each in Switch.objects.order_by("pk")] == [State.SUCCEEDED, State.CANCELLED]
    with pytest.raises(transitions.TooLate):
        rollout.cancel(row, user=None)


def test_cancelling_may_lead_all_the_way_back() -> None:
    row = begun()
    done(row, SERVERS[0])
    done(row, SERVERS[1])
    rollout.cancel(row, user=None, go_back=True)
    row.refresh_from_db()
    assert row.state == RolloutState.RUNNING
    back = done(row, SERVERS[1])
    assert (back.target, back.options) == ("old", {"cache_mode": "Q8"})
    done(row, SERVERS[0])
    assert (row.state, row.error, models()) == (RolloutState.CANCELLED, "Cancelled.", ["old"] * 3)


def test_a_way_back_that_fails_ends_there() -> None:
    row = begun()
    done(row, SERVERS[0])
    done(row, SERVERS[1])
    rollout.cancel(row, user=None, go_back=True)
    done(row, SERVERS[1], ends=State.FAILED)
    assert row.state == RolloutState.CANCELLED
    assert "could go back" in row.error


def test_a_load_under_way_that_is_cancelled_ends_before_the_rollout_does() -> None:
    row = begun()
    claimed = ownership.claim(Switch.objects.get().pk)
    assert claimed is not None
    for state in STEPS[:3]:
        transitions.move(claimed, state)
    rollout.cancel(row, user=None)
    row.refresh_from_db()
    assert row.state == RolloutState.RUNNING
    transitions.move(claimed, State.ROLLING_BACK)
    transitions.move(claimed, State.CANCELLED, result="old")
    rollout.advance(row.pk)
    row.refresh_from_db()
    assert row.state == RolloutState.CANCELLED
    assert Switch.objects.count() == 1


def test_the_only_server_that_answers_is_left_alone() -> None:
    row = begun(servers=SERVERS[:2])
    Server.objects.filter(pk=SERVERS[2]).update(unreachable_since=timezone.now())
    switch = done(row, SERVERS[0])
    (second,) = Switch.objects.filter(rollout=row, server=SERVERS[1])
    transitions.cancel(second, user=None)
    Switch.objects.filter(pk=second.pk).delete()  # as if the first one had died a moment before
    Server.objects.filter(pk=SERVERS[0]).update(unreachable_since=timezone.now())
    rollout.advance(row.pk)
    row.refresh_from_db()
    assert (row.state, Switch.objects.count()) == (RolloutState.RUNNING, 1)
    long_ago = timezone.now() - timedelta(seconds=settings.SWITCH_TIMEOUT + 1)
    Switch.objects.filter(pk=switch.pk).update(finished_at=long_ago)
    rollout.advance(row.pk)
    row.refresh_from_db()
    assert row.state == RolloutState.FAILED
    assert "no other server answers" in row.error


def test_it_goes_on_as_soon_as_another_server_answers() -> None:
    row = begun(servers=SERVERS[:2])
    Server.objects.exclude(pk=SERVERS[1]).update(unreachable_since=timezone.now())
    claimed = ownership.claim(Switch.objects.get().pk)
    assert claimed is not None
    for state in STEPS:
        transitions.move(claimed, state)
    transitions.succeed(claimed, card=ModelCard("new", {}), options={})
    Server.objects.filter(pk=SERVERS[0]).update(unreachable_since=timezone.now())
    rollout.advance(row.pk)
    assert Switch.objects.count() == 1
    Server.objects.filter(pk=SERVERS[0]).update(unreachable_since=None, settles_until=None)
    rollout.advance(row.pk)
    assert Switch.objects.count() == 2
