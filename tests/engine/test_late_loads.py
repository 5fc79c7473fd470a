"""Loads that a switch has given up still take effect: who is told to have changed the model then, and when they are over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from support.servers import SERVER

from models_admin.models import Load, Source, State, Switch, TabbyModel
from models_admin.servers import diagnosis, loads, state_row
from models_admin.switching import observation, transitions
from models_admin.tabby.errors import Unreachable
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    for name in ("old", "new", "other"):
        TabbyModel.objects.create(name=name)
    found("old")


def found(model: str) -> None:
    """Let `model` be what TabbyAPI was last seen to run."""
    row = state_row.row(SERVER)
    row.model, row.seen_at, row.loaded_at = model, timezone.now(), timezone.now() - timedelta(hours=1)
    row.save()


@pytest.fixture
def failed() -> Switch:
    """A switch from “old” to “new” that has given up both: its load, and the one on its way back. Nothing is loaded."""
    switch = transitions.request(SERVER, "new", source=Source.API, options={"cache_mode": "Q8"})
    for back in (False, True):
        loads.send(switch, back=back)
    Switch.objects.filter(pk=switch.pk).update(state=State.FAILED)
    switch.refresh_from_db()
    loads.give_up(switch)
    found("")
    return switch


def observe(model: str) -> None:
    observation.observe(SERVER, ModelCard(model, {}) if model else None, state_row.row(SERVER).epoch)


def history() -> list[tuple[str, str]]:
    return list(Switch.objects.exclude(source=Source.API).order_by("pk").values_list("source", "target"))


def test_each_takes_effect_in_its_turn_and_nobody_else_is_named(failed: Switch) -> None:
    assert loads.busy_with(SERVER) == "new"
    observe("new")
    assert (state_row.row(SERVER).model, state_row.row(SERVER).options) == ("new", {"cache_mode": "Q8"})
    assert loads.busy_with(SERVER) == "old"
    observe("")  # TabbyAPI goes on with the next
    assert state_row.row(SERVER).model == ""
    observe("old")
    assert loads.busy_with(SERVER) == ""
    assert history() == [("late", "new"), ("late", "old")]
    assert set(Switch.objects.filter(source="late").values_list("cause", flat=True)) == {failed.pk}
    assert list(diagnosis.changed_by_others(SERVER)) == []


def test_a_later_one_that_is_seen_first_shows_that_the_earlier_one_is_over(failed: Switch) -> None:
    observe("old")
    assert loads.busy_with(SERVER) == ""
    assert history() == [("late", "old")]


def test_another_model_is_from_outside_and_the_loads_wait_behind_it(failed: Switch) -> None:
    observe("other")
    assert history() == [("outside", "other")]
    assert loads.busy_with(SERVER) == "new"


def test_a_model_that_stays_shows_that_nothing_waits_behind_it(failed: Switch) -> None:
    found("other")
    observe("other")
    assert loads.busy_with(SERVER) == ""


@pytest.mark.parametrize("refused", [True, False])
def test_a_tabbyapi_that_does_not_listen_has_no_loads(failed: Switch, refused: bool) -> None:
    error = Unreachable("It is away")
    error.refused = refused
    state_row.set_trouble(SERVER, error)
    assert loads.busy_with(SERVER) == ("" if refused else "new")


def test_one_that_is_never_heard_of_again_is_forgotten_in_the_end(failed: Switch, settings: Any) -> None:
    long_ago = timezone.now() - timedelta(seconds=loads.LOST_AFTER * settings.SWITCH_MAX_SECONDS + 1)
    Load.objects.update(sent_at=long_ago)
    assert loads.busy_with(SERVER) == ""
    observe("new")
    assert history() == [("outside", "new")]


def test_a_load_under_way_is_not_given_up() -> None:
    switch = transitions.request(SERVER, "new", source=Source.API)
    loads.send(switch, back=False)
    assert loads.busy_with(SERVER) == ""


def test_a_load_that_has_ended_is_begun_anew_when_it_is_asked_for_again() -> None:
    switch = transitions.request(SERVER, "new", source=Source.API)
    asked = [loads.send(switch, back=False)[1] for _ in range(2)]
    away = Unreachable("It is away")
    away.refused = True
    state_row.set_trouble(SERVER, away)
    asked += [loads.send(switch, back=False)[1] for _ in range(2)]
    assert asked == [False, True, False, True]
