"""Whole switches against the sandbox, as a worker carries them out: ways back, limits, holders that do not let go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby
from support.tabby import running as sandbox

from models_admin.automation import upkeep
from models_admin.models import ENDED, Lease, Source, State, Switch
from models_admin.servers import connections, state_row
from models_admin.servers import loads as sent
from models_admin.switching import gate, observation, ownership, runner, transitions
from models_admin.tabby.client import TabbyClient

Q8 = {"cache_mode": "Q8", "max_seq_len": 4096}


@pytest.fixture(scope="module")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with sandbox(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        yield tabby


@pytest.fixture
def tabby(_sandbox: Tabby, transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Tabby:
    """The sandbox with alpha-7B loaded, as Gantry has seen it."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = _sandbox.url, ADMIN_KEY
    settings.SWITCH_TIMEOUT, settings.DRAIN_TIMEOUT = 20, 0
    _sandbox.no_faults()
    _sandbox.reset()
    upkeep.refresh(SERVER)
    assert state_row.row(SERVER).model == "alpha-7B"
    return _sandbox


def switch_to(target: str, **how: Any) -> Switch:
    """Ask for `target`, carry the switch out, and return it as it has ended."""
    asked = transitions.request(SERVER, target, source=Source.API, **how)
    runner.run(asked.pk)
    return Switch.objects.get(pk=asked.pk)


def loads(tabby: Tabby) -> list[dict[str, Any]]:
    return [each["body"] for each in tabby.log("/v1/model/load")]


def test_the_way_back_is_loaded_with_the_options_that_the_model_had(tabby: Tabby) -> None:
    assert switch_to("beta-8B-Q5", options=Q8).state == State.SUCCEEDED
    failed = switch_to("huge-70B")
    assert (failed.state, failed.result) == (State.FAILED, "beta-8B-Q5")
    assert [each["model_name"] for each in loads(tabby)] == ["beta-8B-Q5", "huge-70B", "beta-8B-Q5"]
    assert {name: loads(tabby)[-1].get(name) for name in Q8} == Q8
    assert state_row.row(SERVER).options == Q8
    assert failed.previous_options == Q8


def test_a_load_that_goes_on_and_on_ends_at_switch_max_seconds(tabby: Tabby, settings: Any) -> None:
    settings.SWITCH_MAX_SECONDS = 0.5
    failed = switch_to("slow-13B")
    assert failed.state == State.FAILED
    assert "SWITCH_MAX_SECONDS" in failed.error
    settings.SWITCH_MAX_SECONDS = 900
    assert switch_to("beta-8B-Q5").state == State.SUCCEEDED  # behind the load that went on in TabbyAPI


@pytest.mark.parametrize(
    "lost_in", [State.DRAINING, State.LOADING], ids=["draining", "a dead worker's hands"]
)
def test_long_draining_and_a_late_takeover_leave_the_load_its_time(
    tabby: Tabby, settings: Any, lost_in: State
) -> None:
    """slow-13B takes longer to load than any delay between two looks at the clock."""
    asked = transitions.request(SERVER, "slow-13B", source=Source.API)
    claimed = ownership.claim(asked.pk)
    assert claimed is not None
    long_ago = timezone.now() - timedelta(seconds=2 * settings.SWITCH_MAX_SECONDS)
    tabby.state(loaded=None)
    began = {"started_at": long_ago, "created_at": long_ago, "previous": "alpha-7B"}
    if lost_in == State.DRAINING:
        spent = {"seconds": {"draining": 2 * settings.SWITCH_MAX_SECONDS}}
        Switch.objects.filter(pk=asked.pk).update(state=State.UNLOADING, **spent, **began)
    else:
        Switch.objects.filter(pk=asked.pk).update(
            state=State.LOADING, state_since=long_ago, heartbeat=long_ago, **began
        )
    claimed.refresh_from_db()
    with runner.Heartbeat(claimed) as heartbeat:
        client = connections.client(SERVER)
        runner.Run(claimed, client, heartbeat).to_the_end()
        client.close()
    ended = Switch.objects.get(pk=asked.pk)
    assert (ended.state, ended.error, ended.result) == (State.SUCCEEDED, "", "slow-13B")


@contextmanager
def given_up_after(seconds: float, switch: Switch) -> Iterator[None]:
    """Cancel the switch if the block takes longer, so that a test that fails ends, too."""

    def cancel() -> None:
        transitions.cancel(switch, user=None)
        connection.close()

    timer = threading.Timer(seconds, cancel)
    timer.start()
    yield
    timer.cancel()
    timer.join()


def test_a_holder_that_lives_and_does_not_let_go_holds_up_no_switch(tabby: Tabby, settings: Any) -> None:
    settings.HEARTBEAT_TTL = 1
    alive = timezone.now() + timedelta(hours=1)
    Lease.objects.create(server_id=SERVER, holder="deaf", subject="reply 1", heartbeat=alive)
    asked = transitions.request(SERVER, "beta-8B-Q5", source=Source.API)
    with given_up_after(30, asked):
        runner.run(asked.pk)
    ended = Switch.objects.get(pk=asked.pk)
    assert (ended.state, ended.replies_cut) == (State.SUCCEEDED, 1)
    assert not Lease.objects.exists()
    assert ended.seconds["draining"] >= 2 * settings.HEARTBEAT_TTL, "it had the time that it is given"


@pytest.mark.parametrize("state", [State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING])
@pytest.mark.parametrize("found", [None, "gamma-VL-7B"], ids=["nothing", "another model"])
def test_what_tabbyapi_says_in_mid_switch_is_not_believed(
    tabby: Tabby, state: State, found: str | None
) -> None:
    asked = transitions.request(SERVER, "beta-8B-Q5", source=Source.API)
    Switch.objects.filter(pk=asked.pk).update(state=state, owner="a worker")
    before = state_row.row(SERVER)
    tabby.state(loaded=found)
    assert upkeep.look(SERVER)
    after = state_row.row(SERVER)
    assert (after.model, after.epoch, after.options) == (before.model, before.epoch, before.options)
    assert not Switch.objects.exclude(pk=asked.pk).exists(), "nothing was changed from outside"


def test_what_was_asked_before_the_last_change_is_not_believed(tabby: Tabby) -> None:
    epoch = state_row.row(SERVER).epoch
    assert switch_to("beta-8B-Q5").state == State.SUCCEEDED
    observation.observe(SERVER, None, epoch)
    assert state_row.row(SERVER).model == "beta-8B-Q5"
    assert not Switch.objects.filter(source=Source.OUTSIDE).exists()
    assert Switch.objects.exclude(state__in=ENDED).count() == 0


def loaded(tabby: Tabby) -> str | None:
    found: str | None = tabby.state()["loaded"]
    return found


def around(
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    *,
    before: Callable[[Switch], Any] | None = None,
    after: Any = None,
) -> None:
    """Have something happen just before or after a step of a run."""
    original = getattr(runner.Run, step)

    def wrapped(run: runner.Run) -> None:
        if before is not None:
            before(run.switch)
        original(run)
        if after is not None:
            after(run.switch)

    monkeypatch.setattr(runner.Run, step, wrapped)


def test_an_unload_that_does_nothing_is_noticed(tabby: Tabby) -> None:
    tabby.fault("unload", "empty")
    failed = switch_to("beta-8B-Q5")
    assert (failed.state, failed.result) == (State.FAILED, "alpha-7B")
    assert "although TabbyAPI was told to unload" in failed.error
    assert "beta-8B-Q5" not in [each["model_name"] for each in loads(tabby)]


def test_where_nothing_was_loaded_before_nothing_is_in_the_end(tabby: Tabby) -> None:
    tabby.state(loaded=None)
    upkeep.refresh(SERVER)
    tabby.fault("chat", "error")  # the probe
    failed = switch_to("beta-8B-Q5")
    assert (failed.state, failed.previous, failed.result) == (State.FAILED, "", "")
    assert loaded(tabby) is None
    assert state_row.row(SERVER).model == ""


def test_somebody_elses_choice_is_not_undone_on_the_way_back(
    tabby: Tabby, monkeypatch: pytest.MonkeyPatch
) -> None:
    around(monkeypatch, "roll_back", before=lambda switch: tabby.state(loaded="gamma-VL-7B"))
    failed = switch_to("huge-70B")
    assert (failed.state, failed.result) == (State.FAILED, "gamma-VL-7B")
    assert loaded(tabby) == state_row.row(SERVER).model == "gamma-VL-7B"


def test_a_switch_that_is_cancelled_when_the_model_is_loaded_goes_back(
    tabby: Tabby, monkeypatch: pytest.MonkeyPatch
) -> None:
    around(monkeypatch, "load", after=lambda switch: transitions.cancel(switch, user=None))
    cancelled = switch_to("beta-8B-Q5")
    assert (cancelled.state, cancelled.result) == (State.CANCELLED, "alpha-7B")
    assert loaded(tabby) == state_row.row(SERVER).model == "alpha-7B"


@pytest.mark.parametrize(("target", "call"), [("beta-8B-Q5", "probe"), ("", "unload")])
def test_a_cancel_in_the_last_moment_goes_back_too(
    tabby: Tabby, monkeypatch: pytest.MonkeyPatch, target: str, call: str
) -> None:
    """It is taken until the switch has ended, and what was taken is done."""
    original = getattr(TabbyClient, call)

    def cancelled_meanwhile(client: TabbyClient, *args: Any) -> Any:
        monkeypatch.setattr(TabbyClient, call, original)
        done = original(client, *args)
        running_now = transitions.active(SERVER)
        assert running_now is not None
        transitions.cancel(running_now, user=None)
        return done

    monkeypatch.setattr(TabbyClient, call, cancelled_meanwhile)
    cancelled = switch_to(target)
    assert (cancelled.state, cancelled.result) == (State.CANCELLED, "alpha-7B")
    assert loaded(tabby) == state_row.row(SERVER).model == "alpha-7B"


def test_a_cancel_comes_too_late_or_is_done(tabby: Tabby, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels an unload just before its end is written: the end waits for the same lock, and sees it."""
    lock = state_row.lock

    def cancelled_before(server: int) -> Any:
        running_now = transitions.active(SERVER)
        if running_now is not None and running_now.state == State.UNLOADING and loaded(tabby) is None:
            monkeypatch.setattr(state_row, "lock", lock)
            transitions.cancel(running_now, user=None)
        return lock(server)

    monkeypatch.setattr(state_row, "lock", cancelled_before)
    cancelled = switch_to("")
    assert (cancelled.state, cancelled.result) == (State.CANCELLED, "alpha-7B")
    assert loaded(tabby) == state_row.row(SERVER).model == "alpha-7B"


def test_a_key_that_may_not_switch_disturbs_nothing(tabby: Tabby, settings: Any) -> None:
    settings.TABBY_ADMIN_KEY = "the-api-key-of-the-tests"
    failed = switch_to("beta-8B-Q5")
    assert (failed.state, failed.result, failed.error_kind) == (State.FAILED, "alpha-7B", "key_refused")
    assert set(failed.seconds) == {"queued"}
    assert not tabby.log("/v1/model/unload")


def test_a_reply_that_ends_in_time_is_not_cut(tabby: Tabby, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease.objects.create(server_id=SERVER, holder="web", subject="reply 1")
    looks: list[object] = []
    remaining = gate.remaining

    def looked(server: int) -> int:
        found = remaining(server)
        looks.append(Lease.objects.filter(revoked_at=None).count())
        if len(looks) == 3:
            gate.release([lease.pk])
        return found

    monkeypatch.setattr(gate, "remaining", looked)
    done = switch_to("beta-8B-Q5", drain_seconds=600)
    assert (done.state, done.replies_cut, done.let_go_at) == (State.SUCCEEDED, 0, None)
    assert looks[:3] == [1, 1, 1], "nobody was told to let go"


def test_who_has_lost_a_switch_unloads_nothing_any_more(
    tabby: Tabby, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = transitions.request(SERVER, "beta-8B-Q5", source=Source.API)
    current = TabbyClient.current

    def taken_over_meanwhile(client: TabbyClient) -> Any:
        if Switch.objects.filter(pk=asked.pk, state=State.UNLOADING).update(owner="an heir"):
            monkeypatch.setattr(TabbyClient, "current", current)
        return current(client)

    monkeypatch.setattr(TabbyClient, "current", taken_over_meanwhile)
    runner.run(asked.pk)
    assert (Switch.objects.get(pk=asked.pk).state, loaded(tabby)) == (State.UNLOADING, "alpha-7B")
    assert not tabby.log("/v1/model/unload")


@pytest.mark.parametrize("probed", [True, False])
def test_a_crashed_engine_is_mended_by_loading_the_same_model_again(
    tabby: Tabby, settings: Any, probed: bool
) -> None:
    settings.SWITCH_PROBE = probed
    if probed:
        tabby.fault("chat", "error")  # the model is named, and does not answer
    else:
        state_row.set_findings(SERVER, [{"id": "health", "title": "", "detail": "", "hint": ""}])
    mended = switch_to("alpha-7B")
    assert (mended.state, mended.error, mended.result) == (State.SUCCEEDED, "", "alpha-7B")
    assert len(tabby.log("/v1/model/unload")) == 1
    assert [each["model_name"] for each in loads(tabby)] == ["alpha-7B"]


def test_a_model_that_is_loaded_and_answers_is_left_as_it_is(tabby: Tabby) -> None:
    assert switch_to("alpha-7B").state == State.SUCCEEDED
    assert not tabby.log("/v1/model/unload")
    assert not loads(tabby)


def test_where_nothing_had_to_be_loaded_loads_under_way_are_remembered(tabby: Tabby) -> None:
    failed = switch_to("huge-70B")
    sent.send(failed, back=False)
    sent.give_up(failed)
    assert switch_to("alpha-7B").state == State.SUCCEEDED
    assert sent.busy_with(SERVER) == "huge-70B"
    assert switch_to("beta-8B-Q5").state == State.SUCCEEDED
    assert sent.busy_with(SERVER) == "", "a model that was loaded since shows that they are over"


def test_a_way_back_that_was_refused_has_not_brought_the_options_back(tabby: Tabby) -> None:
    """The target is the same model with other options: it stays loaded with these."""
    original = TabbyClient.probe

    def failing(client: TabbyClient, timeout: float) -> None:
        tabby.fault("load", "status", status=400, body='{"detail": "scripted"}')
        tabby.fault("chat", "error")
        original(client, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TabbyClient, "probe", failing)
        failed = switch_to("alpha-7B", options=Q8)
    assert (failed.state, failed.result) == (State.FAILED, "alpha-7B")
    assert "scripted" in failed.error
    assert loaded(tabby) == "alpha-7B"
    assert state_row.row(SERVER).options == Q8
