"""Who asks while a switch is under way, and who cancels one, in each of its states."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from support.rivals import let_owner_die
from support.servers import SERVER

from models_admin.models import ACTIVE, ENDED, Source, State, Switch, TabbyModel
from models_admin.servers import state_row
from models_admin.switching import ownership, transitions

pytestmark = pytest.mark.django_db
STEPS = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING, State.ROLLING_BACK)


@pytest.fixture(autouse=True)
def _three_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    for name in ("old", "new", "other"):
        TabbyModel.objects.create(name=name)
    row = state_row.row(SERVER)
    row.model, row.seen_at = "old", timezone.now()
    row.save()


def ask(target: str, **how: Any) -> Switch:
    return transitions.request(SERVER, target, source=Source.API, **how)


def standing_at(state: State, **fields: Any) -> Switch:
    """A switch from `old` to `new` that stands at `state`."""
    asked = ask("new")
    Switch.objects.filter(pk=asked.pk).update(state=state, owner="a worker", **fields)
    asked.refresh_from_db()
    return asked


def now(switch: Switch) -> Switch:
    return Switch.objects.get(pk=switch.pk)


@pytest.mark.parametrize("state", [State.QUEUED, State.DRAINING])
def test_before_anything_was_changed_it_is_cancelled_at_once(state: State) -> None:
    switch = standing_at(state)
    transitions.cancel(switch, user=None)
    assert (now(switch).state, now(switch).result) == (State.CANCELLED, "old")
    assert now(switch).finished_at is not None


@pytest.mark.parametrize("state", [State.UNLOADING, State.LOADING, State.VERIFYING])
def test_after_that_it_is_marked_and_goes_back_by_itself(state: State) -> None:
    switch = standing_at(state)
    transitions.cancel(switch, user=None)
    found = now(switch)
    assert (found.state, found.finished_at) == (state, None)
    assert found.cancel_requested_now()


@pytest.mark.parametrize("state", [State.ROLLING_BACK, *ENDED])
def test_what_goes_back_or_has_ended_cannot_be_cancelled(state: State) -> None:
    switch = standing_at(state)
    with pytest.raises(transitions.TooLate):
        transitions.cancel(switch, user=None)
    assert (now(switch).state, now(switch).cancel_requested) == (state, None)


@pytest.mark.parametrize("state", [State.QUEUED, *STEPS[:-1]])
def test_who_asks_for_the_same_joins_it_and_for_another_meets_a_conflict(state: State) -> None:
    switch = standing_at(state)
    assert ask("new").pk == switch.pk
    for target in ("other", ""):
        with pytest.raises(transitions.Conflict) as conflict:
            ask(target)
        assert conflict.value.switch.pk == switch.pk
    assert Switch.objects.count() == 1


def test_a_switch_that_goes_back_is_not_joined() -> None:
    standing_at(State.ROLLING_BACK)
    with pytest.raises(transitions.Conflict):
        ask("new")


def test_a_switch_that_is_to_be_cancelled_is_not_joined() -> None:
    standing_at(State.LOADING, cancel_requested=timezone.now())
    with pytest.raises(transitions.Conflict):
        ask("new")


def test_what_somebody_wants_in_any_case_does_not_give_way() -> None:
    shy = ask("new", only_if_idle=True)
    assert ask("new", only_if_idle=True).pk == shy.pk
    assert now(shy).only_if_idle
    assert ask("new").pk == shy.pk
    assert not now(shy).only_if_idle


def test_a_switch_whose_nudge_got_lost_is_found() -> None:
    asked = ask("new")
    assert ownership.orphans(SERVER) == []
    Switch.objects.filter(pk=asked.pk).update(created_at=timezone.now() - timedelta(seconds=3))
    assert ownership.orphans(SERVER) == [asked.pk]
    assert ownership.claim(asked.pk) is not None
    assert ownership.orphans(SERVER) == []
    let_owner_die(asked)
    assert ownership.orphans(SERVER) == [asked.pk]


def test_the_seconds_of_each_step_are_added_up() -> None:
    asked = ask("new")
    switch = ownership.claim(asked.pk)
    assert switch is not None
    moment = timedelta(seconds=10)
    for state in STEPS:
        switch.state_since -= moment
        transitions.move(switch, state)
    spent = now(asked).seconds
    assert set(spent) == {"queued", *(state.value for state in STEPS[:-1])}
    assert all(10 <= each < 20 for each in spent.values())


def test_a_step_that_was_begun_twice_counts_twice() -> None:
    switch = standing_at(State.LOADING, seconds={"loading": 5.0}, state_since=timezone.now())
    transitions.move(switch, State.VERIFYING)
    assert 5 <= now(switch).seconds["loading"] < 10
    assert now(switch).state in ACTIVE
