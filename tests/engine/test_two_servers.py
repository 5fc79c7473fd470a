"""Two servers: what is done to one does not touch the other."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from support.rivals import has_to_wait, let_owner_die
from support.servers import SERVER

from models_admin.automation import upkeep
from models_admin.models import Lease, Server, Source, State, Switch, TabbyModel
from models_admin.presentation import estimates, snapshots, waiting
from models_admin.servers import catalog, diagnosis, known, loads, state_row, worker_heartbeats
from models_admin.switching import demand, gate, observation, ownership, transitions
from models_admin.tabby.errors import Unreachable
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db
OTHER = SERVER + 1
STEPS = (State.DRAINING, State.UNLOADING, State.LOADING)


@pytest.fixture(autouse=True)
def _two_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    monkeypatch.setattr(known, "all_servers", lambda: [SERVER, OTHER])
    for name in ("old", "new"):
        TabbyModel.objects.create(name=name)
    for server in (SERVER, OTHER):
        row = state_row.row(server)
        row.model, row.seen_at = "old", timezone.now()
        row.save()


def begun(server: int, *, at: State = State.DRAINING) -> Switch:
    """A switch of `server` to `new`, in a worker's hands."""
    switch = ownership.claim(transitions.request(server, "new", source=Source.API).pk)
    assert switch is not None
    for state in STEPS[: STEPS.index(at) + 1]:
        transitions.move(switch, state)
    return switch


def in_flight(server: int) -> Lease:
    """A reply that is being written on `server`, which was let in."""
    with transaction.atomic():
        gate.enter(server)
        return Lease.objects.get(pk=gate.lease(server, "web", [f"reply on {server}"])[0])


def test_a_closed_gate_is_that_of_one_server() -> None:
    begun(SERVER)
    assert (gate.closed(SERVER), gate.closed(OTHER)) == (True, False)
    with pytest.raises(gate.Closed):
        in_flight(SERVER)
    assert in_flight(OTHER).server_id == OTHER


def test_both_may_switch_at_the_same_time_each_once() -> None:
    first, second = (transitions.request(server, "new", source=Source.API) for server in (SERVER, OTHER))
    assert first.pk != second.pk
    assert [transitions.active(server) for server in (SERVER, OTHER)] == [first, second]
    for server, switch in ((SERVER, first), (OTHER, second)):
        assert transitions.request(server, "new", source=Source.API) == switch, "it is joined"
        with pytest.raises(transitions.Conflict) as refused:
            transitions.request(server, "", source=Source.API)
        assert refused.value.switch == switch
        with (
            pytest.raises(IntegrityError, match=r"at_most_one_active_switch|server_id"),
            transaction.atomic(),
        ):
            Switch.objects.create(server_id=server, source=Source.API, drain_seconds=0)


def test_a_lease_holds_up_only_its_own_server() -> None:
    in_flight(SERVER)
    assert (gate.remaining(SERVER), gate.remaining(OTHER)) == (1, 0)
    assert (demand.in_use(SERVER), demand.in_use(OTHER)) == ("a reply is being written", "")


def test_those_who_are_told_to_let_go_are_on_that_server() -> None:
    told, kept = in_flight(SERVER), in_flight(OTHER)
    assert gate.revoke(SERVER) == 1
    assert gate.touch("web") == {told.pk: True, kept.pk: False}
    long_ago = timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL + 1)
    Lease.objects.update(revoked_at=long_ago)
    gate.drop_deaf(SERVER)
    assert list(Lease.objects.all()) == [kept]
    Lease.objects.update(heartbeat=long_ago)
    assert gate.remaining(SERVER) == 0
    assert list(Lease.objects.all()) == [kept], "nobody has looked at the leases there"


def test_what_one_loads_changes_its_own_row_and_epoch() -> None:
    before = state_row.row(OTHER)
    switch = begun(SERVER, at=State.LOADING)
    transitions.move(switch, State.VERIFYING)
    transitions.succeed(switch, card=ModelCard("new", {}), options={})
    assert state_row.row(SERVER).model == "new"
    after = state_row.row(OTHER)
    assert (after.model, after.epoch, after.wanted) == (before.model, before.epoch, before.wanted)


def test_a_look_at_one_is_believed_while_the_other_switches() -> None:
    begun(SERVER)
    for server in (SERVER, OTHER):
        observation.observe(server, ModelCard("new", {}), state_row.row(server).epoch)
    assert [state_row.row(server).model for server in (SERVER, OTHER)] == ["old", "new"]
    outside = Switch.objects.get(source=Source.OUTSIDE)
    assert outside.server_id == OTHER
    told = [[each.id for each in diagnosis.changed_by_others(server)] for server in (SERVER, OTHER)]
    assert told == [[], ["outside"]]


def test_trouble_findings_and_the_catalogs_age_are_of_one_server() -> None:
    sent, _ = loads.send(begun(OTHER, at=State.LOADING), back=False)
    away = Unreachable("It cannot be reached")
    away.refused = True
    state_row.set_trouble(SERVER, away)
    state_row.set_findings(SERVER, [{"id": "key", "level": "error", "title": "T", "detail": "", "hint": ""}])
    state_row.set_catalog_read(SERVER)
    state_row.set_keep_due(SERVER)
    row = state_row.row(OTHER)
    assert (row.unreachable_since, row.trouble, row.findings, row.keep_due) == (None, "", [], False)
    assert (catalog.stale(SERVER), catalog.stale(OTHER)) == (False, True)
    sent.refresh_from_db()
    assert sent.ended_at is None, "that TabbyAPI still runs"


def test_loads_under_way_are_those_of_one_server() -> None:
    for server in (SERVER, OTHER):
        switch = begun(server, at=State.LOADING)
        loads.send(switch, back=False)
        loads.give_up(switch)
    switch.refresh_from_db()
    assert not loads.before(loads.under_way(OTHER).get()).exists(), "the other's is no load before it"
    loads.forget(SERVER)
    assert (loads.busy_with(SERVER), loads.busy_with(OTHER)) == ("", "new")
    assert loads.finished_late(SERVER, "new") is None
    assert loads.finished_late(OTHER, "new") is not None


def test_the_snapshot_is_of_one_server() -> None:
    switch = begun(SERVER)
    in_flight(OTHER)
    one, other = snapshots.current(SERVER), snapshots.current(OTHER)
    assert (one["state"], one["switch"]["id"], one["replying"]) == ("switching", switch.pk, 0)
    assert (other["state"], other["switch"], other["last"], other["replying"]) == ("ready", None, None, 1)
    assert "Closing the gate" in waiting.describe(switch.pk)["lines"][0]["text"], (
        "no reply of its own is waited for"
    )


def test_each_ones_own_past_is_expected_of_it() -> None:
    Switch.objects.create(
        server_id=SERVER, target="new", source=Source.API, state=State.SUCCEEDED, drain_seconds=0,
        seconds={"loading": 99.0, "unloading": 9.0},
    )  # fmt: skip
    assert (estimates.load_seconds(SERVER, "new"), estimates.unload_seconds(SERVER)) == (99.0, 9.0)
    assert estimates.load_seconds(OTHER, "new") == estimates.usual_seconds("new")
    assert estimates.unload_seconds(OTHER) == estimates.UNLOAD_SECONDS


def test_an_orphan_is_found_by_its_server() -> None:
    switch = begun(OTHER)
    let_owner_die(switch)
    assert (ownership.orphans(SERVER), ownership.orphans(OTHER)) == ([], [switch.pk])


def test_a_kept_model_is_loaded_where_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEEP_MODEL", "new")
    Server.objects.filter(pk=OTHER).update(
        model="", keep_due=True, anew=True, empty_since=timezone.now(), seen_at=timezone.now()
    )
    for server in (SERVER, OTHER):
        upkeep.keep(server)
    assert transitions.active(SERVER) is None
    kept = transitions.active(OTHER)
    assert kept is not None
    assert (kept.target, kept.source) == ("new", Source.KEEP)


def test_a_first_worker_starts_them_all() -> None:
    assert worker_heartbeats.begin()
    assert None not in [state_row.row(server).started_at for server in (SERVER, OTHER)]


@pytest.mark.django_db(transaction=True)
def test_the_lock_on_one_lets_others_into_the_other() -> None:
    with transaction.atomic():
        state_row.lock(SERVER)
        assert has_to_wait(partial(in_flight, SERVER))
        one_writer = connection.vendor == "sqlite"  # whatever is locked
        assert has_to_wait(partial(in_flight, OTHER)) == one_writer
