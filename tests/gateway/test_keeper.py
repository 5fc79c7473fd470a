"""What a process finds out about its calls once a second."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, OperationalError
from django.utils import timezone
from support import messages

from gateway import claims
from gateway.calls import LetGo, LiveCall, Roster
from gateway.dispatch import Dispatcher
from gateway.errors import Refused
from gateway.keeper import Keeper
from gateway.limits import Arrival
from gateway.models import Call, Process, State
from gateway.retries import Retries
from models_admin import db_threads
from models_admin.api import tokens
from models_admin.automation.stalls import Stalls
from models_admin.background import Background
from models_admin.models import Lease
from models_admin.servers.clients import Clients

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
HERE = "here/v1"


def _come() -> tuple[Arrival, int, claims.Turn]:
    """A call that has its turn."""
    person, _ = User.objects.get_or_create(username="mara")
    token, _ = tokens.make(person, "it", ["chat"])
    arrival = Arrival(token.pk, person.pk, "chat/completions", timezone.now())
    (number,), turns = claims.admit(HERE, [arrival])
    assert isinstance(number, int)
    return arrival, number, turns[number]


def _rows() -> tuple[set[int], set[int], set[str]]:
    """The leases, the calls that are open, and the processes that live."""
    opened = Call.objects.exclude(state=State.ENDED)
    return (
        set(Lease.objects.values_list("pk", flat=True)),
        set(opened.values_list("pk", flat=True)),
        set(Process.objects.values_list("holder", flat=True)),
    )


async def _looked_after() -> tuple[Roster, Keeper, LiveCall]:
    roster = Roster(HERE)
    roster.registered = True
    arrival, number, turn = await db_threads.write(_come)
    call = roster.calls[number] = LiveCall(number, arrival)
    call.begin(turn)
    stalls = Stalls(Clients())
    return roster, Keeper(roster, Retries(stalls), stalls, Background()), call


async def test_what_belongs_to_no_call_is_ended_and_the_others_stay() -> None:
    _, keeper, call = await _looked_after()
    await db_threads.write(_come)
    await keeper.look_at_leases()
    assert len((await db_threads.read(_rows))[1]) == 2
    await keeper.look_at_leases()
    assert call.turn
    assert await db_threads.read(_rows) == ({call.turn.lease}, {call.number}, {HERE})


async def test_a_process_without_calls_shows_no_life() -> None:
    roster, keeper, call = await _looked_after()
    await keeper.look_at_leases()
    await db_threads.write(claims.leave, [call.left("done")])
    del roster.calls[call.number]
    await keeper.look_at_leases()
    assert await db_threads.read(_rows) == (set(), set(), set())
    assert not roster.registered


async def test_a_process_whose_first_call_is_being_written_goes_on_showing_life() -> None:
    dispatcher = Dispatcher()
    roster = dispatcher.roster
    roster.registered = True
    arrival, *_ = await db_threads.write(_come)
    written: asyncio.Future[int | claims.Over] = asyncio.get_running_loop().create_future()
    roster.arriving.append((arrival, written))
    stalls = Stalls(Clients())
    keeper = Keeper(roster, Retries(stalls), stalls, Background())
    looks = asyncio.create_task(keeper.look_at_leases())
    await asyncio.sleep(0)  # its heartbeat is written before the call
    await dispatcher.write()
    await looks
    assert roster.calls.keys() == {written.result()}
    assert roster.registered
    assert roster.holder in (await db_threads.read(_rows))[2]


async def test_calls_that_are_being_written_count_among_those_that_are_open(settings: Any) -> None:
    settings.GATEWAY_CALLS_AT_ONCE = 1
    dispatcher = Dispatcher()
    arrival, *_ = await db_threads.write(_come)
    first = asyncio.create_task(dispatcher.enter(arrival))
    await asyncio.sleep(0)
    writing = asyncio.create_task(dispatcher.write())
    await asyncio.sleep(0)  # it has taken the first, and waits for the database
    async with asyncio.timeout(10):
        with pytest.raises(Refused, match="Too many calls"):
            await dispatcher.enter(arrival)
    await writing
    call = await first
    assert dispatcher.roster.calls == {call.number: call}


async def test_a_process_is_buried_when_it_was_dead_at_two_looks() -> None:
    _, keeper, call = await _looked_after()
    await keeper.look_at_leases()
    long_ago = timezone.now() - timedelta(minutes=1)
    await db_threads.write(Process.objects.update, seen_at=long_ago)
    await keeper.sweep()
    assert (await db_threads.read(_rows))[1] == {call.number}
    await db_threads.write(Process.objects.update, seen_at=timezone.now())
    await keeper.sweep()
    await db_threads.write(Process.objects.update, seen_at=long_ago)
    await keeper.sweep()
    assert (await db_threads.read(_rows))[1] == {call.number}, "it has shown life in between"
    await keeper.sweep()
    assert (await db_threads.read(_rows))[1:] == (set(), set())


@pytest.mark.parametrize("what", ["revoked", "gone", "buried"])
async def test_a_turn_that_is_over_is_let_go(what: str) -> None:
    _, keeper, call = await _looked_after()
    await keeper.look_at_leases()

    def change() -> None:
        if what == "revoked":
            Lease.objects.update(revoked_at=timezone.now())
        elif what == "gone":
            Lease.objects.all().delete()
        else:
            Call.objects.update(state=State.ENDED)

    await db_threads.write(change)
    await keeper.look_at_leases()

    async def reads() -> None:
        raise AssertionError("its turn is over")

    with pytest.raises(LetGo):
        await call.read(reads)


async def test_a_call_that_was_buried_while_it_waited_waits_again() -> None:
    roster, keeper, call = await _looked_after()
    since = call.arrival.since - timedelta(minutes=1)
    await db_threads.write(claims.leave, [call.left()])
    await db_threads.write(Call.objects.filter(pk=call.number).update, created_at=since, state=State.ENDED)
    before = call.number
    await keeper.look_at_leases()
    assert call.number != before
    assert roster.calls == {call.number: call}
    row: Any = await db_threads.read(Call.objects.get, pk=call.number)
    assert (row.state, row.created_at) == (State.WAITING, call.arrival.since)


Told = list[LiveCall | BaseException]


async def _coming(dispatcher: Dispatcher, *arrivals: Arrival) -> Told:
    """What callers hear who come at the same moment."""
    tasks = [asyncio.create_task(dispatcher.enter(each)) for each in arrivals]
    await asyncio.sleep(0)
    with contextlib.suppress(DatabaseError):
        await dispatcher.write()
    await dispatcher.clients.aclose()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_the_database_refuses_of_one_caller_keeps_no_other_from_coming(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher, known = Dispatcher(), list[int]()
    well, _, _ = await db_threads.write(_come)
    gone = replace(well, person=well.person + 1000)  # deleted, since the token was looked up
    admit = claims.admit

    def noting(*args: Any) -> Any:
        known.append(len(dispatcher.roster.calls))
        return admit(*args)

    monkeypatch.setattr(claims, "admit", noting)
    first, refused, last = await _coming(dispatcher, well, gone, well)
    assert isinstance(refused, Refused)
    assert refused.status == 503
    assert isinstance(first, LiveCall)
    assert isinstance(last, LiveCall)
    assert {first.number, last.number} == set(dispatcher.roster.calls)
    assert all(call.turn is not None for call in dispatcher.roster.calls.values())
    assert known == [0, 0, 1, 1], "each belongs to this process before the next one is written"


async def test_nobody_waits_for_a_database_that_goes_away_while_calls_are_written_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher, tried = Dispatcher(), list[int]()
    well, _, _ = await db_threads.write(_come)

    def refusing(holder: str, arrivals: list[Arrival], earlier: Any) -> Any:
        tried.append(len(arrivals))
        raise IntegrityError if len(arrivals) > 1 else OperationalError("database is locked")

    monkeypatch.setattr(claims, "admit", refusing)
    told = await _coming(dispatcher, well, well, well)
    assert [type(each) for each in told] == [Refused] * 3
    assert tried == [3, 1]
    assert dispatcher.roster.calls == {}


async def test_a_call_that_is_refused_alone_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher, tried = Dispatcher(), list[int]()
    well, _, _ = await db_threads.write(_come)

    def refusing(holder: str, arrivals: list[Arrival], earlier: Any) -> Any:
        tried.append(len(arrivals))
        raise IntegrityError

    monkeypatch.setattr(claims, "admit", refusing)
    (told,) = await _coming(dispatcher, well)
    assert isinstance(told, Refused)
    assert tried == [1]
