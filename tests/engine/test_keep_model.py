"""KEEP_MODEL: a TabbyAPI that comes back empty is given its model again; what anybody has chosen is left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from support.heartbeats import StillHeartbeat
from support.servers import SERVER

from models_admin.automation import upkeep
from models_admin.models import Server, Source, State, Switch, TabbyModel
from models_admin.servers import state_row, worker_heartbeats
from models_admin.switching import observation, ownership, runner, transitions
from models_admin.tabby.errors import TimedOut, Unreachable
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db
AFTER = 180.0


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.KEEP_MODEL, settings.KEEP_MODEL_AFTER = "usual", AFTER
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    for name in ("usual", "other"):
        TabbyModel.objects.create(name=name)


def seen(model: str, wanted: str = "") -> None:
    """Let `model` be what TabbyAPI was last seen to run."""
    TabbyModel.objects.filter(name=model).update(last_loaded=timezone.now())
    row = state_row.row(SERVER)
    row.model, row.wanted, row.seen_at = model, wanted, timezone.now()
    row.save()


def away(*, refused: bool = True) -> None:
    """Let TabbyAPI be out of reach, with nobody listening at its address or otherwise."""
    error = Unreachable("It is away")
    error.refused = refused
    state_row.set_trouble(SERVER, error)


def look(model: str = "") -> None:
    """Let TabbyAPI say what is loaded."""
    observation.observe(SERVER, ModelCard(model, {}) if model else None, state_row.row(SERVER).epoch)
    upkeep.keep(SERVER)


def later(seconds: float) -> None:
    """Let so many seconds pass since TabbyAPI was first seen to be empty."""
    Server.objects.exclude(empty_since=None).update(empty_since=timezone.now() - timedelta(seconds=seconds))


def asked_for() -> list[str]:
    return list(Switch.objects.filter(source=Source.KEEP).values_list("target", flat=True))


@pytest.mark.parametrize(
    ("keep", "expected"), [("usual", ["usual"]), ("last", ["other"]), ("", []), ("gone", [])]
)
def test_a_tabbyapi_that_started_anew_is_given_the_model_to_be_kept(
    settings: Any, keep: str, expected: list[str]
) -> None:
    settings.KEEP_MODEL = keep
    seen("other")
    away()
    look()
    assert asked_for() == expected
    assert Switch.objects.filter(source=Source.OUTSIDE, previous="other", target="").count() == 1


def test_last_is_what_somebody_chose_last_not_what_came_from_outside(settings: Any) -> None:
    settings.KEEP_MODEL = "last"
    seen("other", wanted="usual")
    away()
    look()
    assert asked_for() == ["usual"]


@pytest.mark.parametrize("lost", ["there all the time", "not heard of for a while", "silent for a while"])
def test_one_that_did_not_start_anew_may_be_loading_somebodys_model(lost: str) -> None:
    """It says that nothing is loaded all through a load."""
    seen("usual")
    if lost == "not heard of for a while":
        away(refused=False)
    elif lost == "silent for a while":
        state_row.set_trouble(SERVER, TimedOut("It is silent"))
    look()
    later(AFTER - 1)
    look()
    assert asked_for() == []
    look("other")
    assert asked_for() == []
    assert not state_row.vacant(state_row.row(SERVER))


def test_it_is_loaded_when_that_has_lasted_longer_than_any_load() -> None:
    seen("usual")
    look()
    later(AFTER + 1)
    look()
    assert asked_for() == ["usual"]


def test_what_was_not_seen_does_not_count() -> None:
    seen("usual")
    look()
    later(AFTER + 1)
    away(refused=False)
    look()
    assert asked_for() == []


def test_neither_does_what_was_before_gantry_started() -> None:
    seen("usual")
    look()
    later(AFTER + 1)
    assert worker_heartbeats.begin()
    look()
    assert asked_for() == []


def test_it_is_asked_for_once() -> None:
    seen("usual")
    away()
    look()
    Switch.objects.filter(source=Source.KEEP).update(state=State.FAILED)
    later(AFTER + 1)
    look()
    assert asked_for() == ["usual"]


def test_another_change_comes_first() -> None:
    seen("usual")
    other = transitions.request(SERVER, "other", source=Source.API)
    away()
    look()
    assert asked_for() == []
    Switch.objects.filter(pk=other.pk).update(state=State.FAILED)
    look()
    assert asked_for() == ["usual"]


def test_what_was_unloaded_through_gantry_stays_unloaded() -> None:
    seen("")
    away()
    look()
    later(AFTER + 1)
    look()
    assert asked_for() == []


def test_another_model_from_outside_is_left_alone() -> None:
    seen("usual")
    look("other")
    assert asked_for() == []
    assert state_row.row(SERVER).model == "other"


class Loaded:
    """A TabbyAPI in which a model is loaded by somebody else, after so many looks at what is."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def permission(self) -> str:
        return "admin"

    def models(self) -> list[str]:
        return ["other", "usual"]

    def current(self) -> ModelCard | None:
        self.looks -= 1
        return ModelCard("other", {}) if self.looks < 0 else None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"TabbyAPI was asked for {name}")


def carried_out(switch: Switch, tabby: Loaded) -> Switch:
    claimed = ownership.claim(switch.pk)
    assert claimed is not None
    runner.Run(claimed, tabby, StillHeartbeat(claimed)).to_the_end()  # type: ignore[arg-type]
    return Switch.objects.get(pk=switch.pk)


@pytest.mark.parametrize("looks", [0, 1])
def test_a_model_that_comes_in_the_last_moment_is_left_alone(looks: int) -> None:
    seen("usual")
    away()
    look()
    switch = carried_out(Switch.objects.get(source=Source.KEEP), Loaded(looks))
    assert (switch.state, switch.error_kind, switch.result) == ("cancelled", "not_empty", "other")
    assert switch.error == "Not done, because other has been loaded meanwhile."
    assert state_row.row(SERVER).model == "other"
    assert ("draining" in switch.seconds) == (looks > 0), "replies by that model were kept waiting"


def test_somebody_who_asks_for_the_same_model_wants_it_in_any_case() -> None:
    seen("usual")
    away()
    look()
    switch = transitions.request(SERVER, "usual", source=Source.API)
    assert switch.source == Source.KEEP
    assert not Switch.objects.get(pk=switch.pk).only_if_empty


def test_an_answer_from_before_the_last_change_is_not_believed() -> None:
    seen("usual")
    observation.observe(SERVER, None, state_row.row(SERVER).epoch - 1)
    assert state_row.row(SERVER).model == "usual"


class Dying:
    """A TabbyAPI with “usual” loaded that does as it is told, and from the call of `last` on does not answer."""

    def __init__(self, last: str, *, refused: bool) -> None:
        self.last, self.refused, self.gone = last, refused, False
        self.loaded = True

    def _alive(self, call: str) -> None:
        self.gone = self.gone or call == self.last
        if self.gone:
            error = Unreachable("It is away")
            error.refused = self.refused
            raise error

    def permission(self) -> str:
        return "admin"

    def models(self) -> list[str]:
        return ["other", "usual"]

    def current(self) -> ModelCard | None:
        self._alive("current")
        return ModelCard("usual", {"cache_mode": "Q8"}) if self.loaded else None

    def unload(self) -> bool:
        self.loaded = False
        self._alive("unload")
        return True

    def load(self, *args: Any, **how: Any) -> Any:
        self._alive("load")


def cut_off(settings: Any, last: str, *, refused: bool) -> Switch:
    """A switch from “usual”, loaded with options, to “other”, in the midst of which TabbyAPI stops to answer."""
    settings.SWITCH_TIMEOUT = 0
    seen("usual", wanted="usual")
    Server.objects.update(options={"cache_mode": "Q8"}, parameters={"cache_mode": "Q8"})
    claimed = ownership.claim(transitions.request(SERVER, "other", source=Source.API).pk)
    assert claimed is not None
    tabby = Dying(last, refused=refused)
    run = runner.Run(claimed, tabby, StillHeartbeat(claimed))  # type: ignore[arg-type]
    run.prepare()
    run.drain()
    if last == "nothing":
        tabby.gone = True
    run.to_the_end()
    switch = Switch.objects.get(pk=claimed.pk)
    assert (switch.state, switch.result) == (State.FAILED, None)
    assert state_row.row(SERVER).unreachable_since is not None
    return switch


@pytest.mark.parametrize("last", ["unload", "load"])
@pytest.mark.parametrize("refused", [True, False])
def test_a_tabbyapi_that_dies_in_mid_switch_is_given_its_model_again(
    settings: Any, last: str, refused: bool
) -> None:
    cut_off(settings, last, refused=refused)
    assert state_row.row(SERVER).model == ""
    look()
    if not refused:
        assert asked_for() == [], "a load may be under way"
        later(AFTER + 1)
        look()
    assert asked_for() == ["usual"]


def test_one_that_dies_before_it_was_told_anything_is_too(settings: Any) -> None:
    cut_off(settings, "nothing", refused=True)
    look()
    assert asked_for() == ["usual"]


def test_a_network_that_breaks_before_anything_was_sent_has_changed_nothing(settings: Any) -> None:
    cut_off(settings, "nothing", refused=False)
    observation.observe(SERVER, ModelCard("usual", {"cache_mode": "Q8"}), state_row.row(SERVER).epoch)
    row = state_row.row(SERVER)
    assert (row.model, row.options, row.keep_due) == ("usual", {"cache_mode": "Q8"}, False)
    assert not Switch.objects.filter(source=Source.OUTSIDE).exists()
