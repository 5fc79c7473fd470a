"""Whatever TabbyAPI does and whoever interferes: a switch makes legal moves only, ends, and tells the truth in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.heartbeats import StillHeartbeat
from support.servers import SERVER

from models_admin.models import ACTIVE, ENDED, GATED, Lease, Load, Source, State, Switch, TabbyModel
from models_admin.servers import loads, state_row
from models_admin.switching import gate, loader, observation, ownership, runner, transitions, way_back
from models_admin.tabby.errors import (
    Garbled,
    KeyRefused,
    LoadFailed,
    OutOfMemory,
    ServerFault,
    StreamCut,
    TimedOut,
    Unreachable,
)
from models_admin.tabby.wire import LoadProgress, ModelCard

pytestmark = pytest.mark.django_db

ERRORS: list[type[Exception]] = [
    Garbled, KeyRefused, LoadFailed, OutOfMemory, ServerFault, StreamCut, TimedOut, Unreachable,
    TypeError, DataError,  # mistakes of our own
]  # fmt: skip
# What a call does: its work, an error before it, its work and then an error, or nothing although it says that it did. A load
# may be late: the stream breaks or is silent, and the load takes effect when nobody listens any more.
DEEDS = st.one_of(
    st.tuples(st.sampled_from(["before", "after"]), st.sampled_from(ERRORS)),
    st.tuples(st.just("late"), st.sampled_from([TimedOut, StreamCut])),
    st.just(("lie", None)),
    st.just(("cancel", None)),
    st.just(("outside", None)),
)


class Whimsical:
    """A TabbyAPI that does what it should, but for the calls that the script has something else for."""

    def __init__(self, deeds: dict[int, Any], switch: Switch) -> None:
        self.deeds = deeds
        self.calls = 0
        self.switch = switch
        self.loaded: str | None = "old"
        self.options: dict[str, Any] = {}
        self.late: list[
            tuple[str, dict[str, Any]]
        ] = []  # loads that nobody follows, in the order that they take effect

    def _deed(self, work: Any) -> Any:
        deed, error = self.deeds.get(self.calls, ("well", None))
        self.calls += 1
        if deed == "before":
            raise error("scripted")
        if deed == "cancel":
            with suppress(transitions.TooLate):
                transitions.cancel(self.switch, user=None)
        if deed == "outside":
            self.put("other", {})
        if deed == "lie":
            return None
        result = work()
        if deed == "after":
            raise error("scripted")
        return result

    def put(self, name: str | None, options: dict[str, Any]) -> None:
        self.loaded, self.options = name, options

    def land(self) -> None:
        """Let the late loads take effect, one after the other. A model that is loaded is not loaded again."""
        for name, options in self.late:
            if self.loaded != name:
                self.put(name, options)
        self.late.clear()

    def permission(self) -> str:
        return self._deed(lambda: "admin") or "api"

    def models(self) -> list[str]:
        return self._deed(lambda: ["old", "new", "other"]) or []

    def current(self) -> ModelCard | None:
        named = self.loaded if not self.late else None
        return self._deed(lambda: None) or (ModelCard(named, {}) if named else None)

    def unload(self) -> bool:
        self._deed(lambda: self.late or self.put(None, {}))
        return True

    def probe(self, timeout: float) -> None:
        self._deed(lambda: None)

    def load(self, name: str, options: dict[str, Any], *, read_seconds: float | None = None) -> Any:
        return Stream(self, name, dict(options))


class Stream:
    def __init__(self, tabby: Whimsical, name: str, options: dict[str, Any]) -> None:
        self.tabby, self.name, self.options = tabby, name, options

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> Iterator[LoadProgress]:
        tabby = self.tabby
        tabby.land()  # it waits for those before it
        if tabby.loaded == self.name:
            yield LoadProgress("model", 1, 1, finished=True)
            return
        tabby.put(None, {})
        yield LoadProgress("model", 1, 2, finished=False)
        deed, error = tabby.deeds.get(tabby.calls, ("well", None))
        if deed == "late":
            tabby.calls += 1
            tabby.late.append((self.name, self.options))
            raise error("scripted")
        tabby._deed(lambda: tabby.put(self.name, self.options))
        yield LoadProgress("model", 2, 2, finished=True)


@pytest.fixture(autouse=True)
def _impatient(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SWITCH_TIMEOUT = 0
    settings.DRAIN_TIMEOUT = 0
    monkeypatch.setattr(loader, "RETRY_SECONDS", 0)
    monkeypatch.setattr(runner, "DRAIN_POLL", 0)
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)


def fresh(target: str, options: dict[str, Any] | None = None) -> Switch:
    """A catalog of three models, `old` loaded, and a queued switch."""
    for table in (Switch, Lease, TabbyModel):
        table.objects.all().delete()
    for name in ("old", "new", "other"):
        TabbyModel.objects.create(name=name)
    row = state_row.row(SERVER)
    row.model, row.seen_at, row.unreachable_since, row.options = "old", timezone.now(), None, {}
    row.save()
    return transitions.request(SERVER, target, source=Source.API, options=options)


LOAD, BACK = (
    7,
    10,
)  # the calls that load the target, and then the previous model where the first fails at once


@example(deeds={LOAD: ("late", TimedOut)}, target="new", options={})
@example(deeds={LOAD: ("late", StreamCut)}, target="new", options={"cache_mode": "Q4"})
@example(deeds={LOAD: ("late", TimedOut)}, target="old", options={"cache_mode": "Q4"})
@example(deeds={LOAD: ("late", TimedOut), BACK: ("late", TimedOut)}, target="new", options={})
@example(
    deeds={LOAD: ("late", TimedOut), BACK: ("late", TimedOut)}, target="old", options={"cache_mode": "Q4"}
)
@settings(
    max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    deeds=st.dictionaries(st.integers(0, 16), DEEDS, max_size=3),
    target=st.sampled_from(["new", "old", ""]),
    options=st.sampled_from([{}, {"cache_mode": "Q4"}]),
)
def test_any_course_ends_in_the_truth(
    deeds: dict[int, Any], target: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = fresh(target, options)
    tabby = Whimsical(deeds, switch)
    moves: list[tuple[str, str]] = []
    loaded_at_success: list[str | None] = []
    original = transitions.move

    def spied(each: Switch, new: State, **fields: Any) -> None:
        old = each.state
        original(each, new, **fields)
        moves.append((old, new))
        if new == State.SUCCEEDED:
            loaded_at_success.append(tabby.loaded)

    with monkeypatch.context() as patch:
        for mover in (runner, transitions, way_back):
            patch.setattr(mover, "move", spied)
        claimed = ownership.claim(switch.pk)
        assert claimed is not None
        with suppress(ownership.Lost):
            runner.Run(claimed, tabby, StillHeartbeat(claimed)).to_the_end()  # type: ignore[arg-type]
    ended = Switch.objects.get(pk=switch.pk)
    assert ended.state in ENDED
    assert all(new in transitions.NEXT[State(old)] for old, new in moves)
    assert not gate.closed(SERVER)
    if not moves or moves[-1][1] != ended.state:
        assert ended.state == State.CANCELLED  # by somebody else, while nothing had been changed
        return
    done = [deed for deed, _ in deeds.values()]
    if ended.state == State.SUCCEEDED:
        assert ended.result == target
        if "outside" not in done:
            assert loaded_at_success == [target or None]
        assert not target or not Load.objects.exists(), "what was asked for is over"
    assert ended.result in (state_row.row(SERVER).model, None)
    if ended.result is None:
        assert state_row.row(SERVER).unreachable_since is not None, (
            "what is loaded is not known, and that is said"
        )
        return
    if not {"before", "after", "outside"} & set(done):
        assert ended.result == (tabby.loaded or "")
        what_comes_late_is_told(tabby)


def what_comes_late_is_told(tabby: Whimsical) -> None:
    """Gantry knows what is loaded and with which options, and what TabbyAPI is still busy with; nobody else is named."""
    assert loads.busy_with(SERVER) == (tabby.late[0][0] if tabby.late else "")
    tabby.land()
    observation.observe(
        SERVER, ModelCard(tabby.loaded, {}) if tabby.loaded else None, state_row.row(SERVER).epoch
    )
    row = state_row.row(SERVER)
    assert (row.model, row.options) == (tabby.loaded or "", tabby.options)
    assert not Switch.objects.filter(source=Source.OUTSIDE).exists()


EVENTS = st.lists(
    st.sampled_from(
        ["request new", "request other", "request", "claim", "step", "cancel", "die", "adopt", "finish"]
    ),
    max_size=30,
)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=EVENTS, choices=st.randoms(use_true_random=False))
def test_any_order_of_events_keeps_one_switch_and_legal_moves(events: list[str], choices: Any) -> None:
    first = fresh("new")
    held: Switch | None = None
    ended_before: dict[int, str] = {}
    for event in [*events, "die", "adopt", "finish"]:
        current = transitions.active(SERVER)
        try:
            if event.startswith("request"):
                transitions.request(SERVER, event.removeprefix("request").strip(), source=Source.API)
            elif event == "claim" and current:
                held = ownership.claim(current.pk) or held
            elif event == "die" and current:
                Switch.objects.filter(pk=current.pk).update(
                    heartbeat=timezone.now() - timezone.timedelta(hours=1)
                )
            elif event == "adopt" and current:
                held = ownership.claim(current.pk) or held
            elif event == "cancel" and current:
                transitions.cancel(current, user=None)
            elif event in ("step", "finish") and held:
                while held.state in ACTIVE:
                    transitions.move(held, choices.choice(transitions.NEXT[State(held.state)]))
                    if event == "step":
                        break
        except (transitions.SwitchRefused, ownership.Lost):
            pass
        assert Switch.objects.filter(state__in=ACTIVE).count() <= 1
        assert gate.closed(SERVER) == Switch.objects.filter(state__in=GATED).exists()
        for row in Switch.objects.filter(state__in=ENDED):
            assert ended_before.setdefault(row.pk, row.state) == row.state, "an ended switch moved"
    assert transitions.active(SERVER) is None
    assert Switch.objects.get(pk=first.pk).state in ENDED


@pytest.mark.parametrize("old", list(State))
def test_an_illegal_move_is_refused(old: State) -> None:
    switch = fresh("new")
    Switch.objects.filter(pk=switch.pk).update(state=old)
    switch.refresh_from_db()
    for new in set(State) - set(transitions.NEXT.get(old, ())):
        with pytest.raises((ValueError, KeyError)):
            transitions.move(switch, new)
    assert Switch.objects.get(pk=switch.pk).state == old


def test_a_move_that_somebody_else_made_first_is_lost() -> None:
    switch = fresh("new")
    other = Switch.objects.get(pk=switch.pk)
    transitions.move(other, State.DRAINING)
    with pytest.raises(ownership.Lost):
        transitions.move(switch, State.DRAINING)
