"""Calls in the database: one line with the chat's replies, limits, and what becomes of the dead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support import messages
from support.servers import SERVER

from chat import claims as chat_claims
from chat.models import Message
from gateway import claims
from gateway.claims import Left, Turn
from gateway.limits import Arrival, Over
from gateway.models import Call, Outcome, Process, State
from models_admin.api import tokens
from models_admin.models import Lease, Switch
from models_admin.switching import demand, gate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
ONE, TWO = "one/v1", "two/v1"


def arrival(name: str, token: int = 0, **more: Any) -> Arrival:
    """A call of `name`, with the token given or a new one."""
    person, _ = User.objects.get_or_create(username=name)
    token = token or tokens.make(person, "it", ["chat"])[0].pk
    return Arrival(token, person.pk, "chat/completions", timezone.now(), **more)


def enter(name: str, holder: str = ONE) -> tuple[int, Turn | None]:
    """One call comes; its number, and its turn if it may begin."""
    (number,), turns = claims.admit(holder, [arrival(name)])
    assert isinstance(number, int)
    return number, turns.get(number)


def close_the_gate() -> None:
    Switch.objects.create(server_id=SERVER, target="other", state="loading", drain_seconds=1)


def test_a_call_begins_with_a_lease_of_its_name() -> None:
    number, turn = enter("mara")
    assert turn
    assert turn.model == "usual"
    lease = Lease.objects.get()
    assert (lease.pk, lease.subject, lease.holder) == (turn.lease, f"call {number}", ONE)
    assert Call.objects.get().state == State.RUNNING


def test_many_calls_that_come_together_take_as_many_statements_as_one() -> None:
    few, many = [arrival("mara")], [arrival(name) for name in ("noor", "otto", "pia")]
    with CaptureQueriesContext(connection) as of_one:
        claims.admit(ONE, few)
    with CaptureQueriesContext(connection) as of_three:
        claims.admit(ONE, many)
    assert len(of_three) == len(of_one) <= 10, "its savepoint's two included"
    assert Call.objects.filter(state=State.RUNNING).count() == 4


def test_while_the_gate_is_closed_it_waits_and_counts_as_demand() -> None:
    close_the_gate()
    _, turn = enter("mara")
    assert turn is None
    assert demand.now().waiting == 1
    Switch.objects.all().delete()
    _, turns = claims.admit(ONE, [])
    assert len(turns) == 1


def test_the_limit_per_person_holds_across_both_kinds(settings: Any) -> None:
    settings.REPLIES_PER_USER = 2
    messages.say("mara")
    Message.objects.update(origin="")
    assert len(chat_claims.claim("one", 9)) == 1
    assert enter("mara")[1]
    assert enter("mara")[1] is None
    assert enter("noor")[1]


def test_a_call_stands_behind_a_message_that_came_before(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 2
    first, turn = enter("mara")
    messages.say("noor")
    second, none = enter("olu")
    assert none is None, "the message has the place, though another process is to begin it"
    assert turn
    claims.leave([Left(first, turn.lease, Outcome.DONE)])
    assert set(claims.admit(ONE, [])[1]) == {second}


def test_a_process_begins_its_own_calls_alone() -> None:
    close_the_gate()
    mine, _ = enter("mara")
    Call.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    Switch.objects.all().delete()
    assert claims.admit(TWO, [])[1] == {}
    assert set(claims.admit(ONE, [])[1]) == {mine}


def test_what_needs_no_chat_model_stands_in_no_line(settings: Any) -> None:
    settings.REPLIES_PER_USER = 1
    (number,), turns = claims.admit(ONE, [arrival("mara", aside=True)])
    assert (turns, demand.now().waiting) == ({}, 0)
    assert enter("mara")[1]
    claims.leave([Left(number, None, Outcome.DONE)])  # type: ignore[arg-type]
    assert demand.now().last_reply is not None


def test_a_call_that_is_cut_keeps_its_place(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    first, turn = enter("mara")
    assert turn
    second, _ = enter("noor")
    claims.leave([Left(first, turn.lease)])
    assert not Lease.objects.exists()
    _, turns = claims.admit(ONE, [])
    assert set(turns) == {first}
    claims.leave([Left(first, turns[first].lease, pause=60)])
    assert set(claims.admit(ONE, [])[1]) == {second}


def test_an_end_is_final() -> None:
    number, turn = enter("mara")
    assert turn
    claims.leave([Left(number, turn.lease, Outcome.GONE)])
    claims.leave([Left(number, turn.lease)])
    call = Call.objects.get()
    assert (call.state, call.outcome) == (State.ENDED, Outcome.GONE)
    assert call.ended_at


def test_limits_of_a_token(settings: Any) -> None:
    settings.GATEWAY_CALLS_PER_TOKEN = 2
    settings.GATEWAY_REQUESTS_PER_MINUTE = 3
    first = arrival("mara")
    numbers, _ = claims.admit(ONE, [first] * 3 + [arrival("mara")])
    assert [type(each) for each in numbers] == [int, int, Over, int]
    assert numbers[2].seconds is None  # type: ignore[union-attr]
    claims.leave([Left(each, None, Outcome.DONE) for each in numbers[:2]])  # type: ignore[arg-type]
    Call.objects.filter(pk=numbers[0]).update(created_at=timezone.now() - timedelta(seconds=50))

    (third, over), _ = claims.admit(ONE, [first] * 2)
    assert isinstance(third, int)
    assert isinstance(over, Over)
    assert over.seconds == pytest.approx(10, abs=2)
    claims.leave([Left(third, None, Outcome.DONE)])
    Call.objects.filter(pk=numbers[0]).update(created_at=timezone.now() - timedelta(seconds=61))
    assert isinstance(claims.admit(ONE, [first])[0][0], int)


def test_a_dead_process_leaves_the_line(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    claims.beat(ONE)
    claims.beat(TWO)
    assert enter("mara", ONE)[1]
    enter("noor", ONE)
    mine, _ = enter("olu", TWO)
    long_ago = timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL)
    Process.objects.filter(holder=ONE).update(seen_at=long_ago)
    Lease.objects.update(heartbeat=long_ago)

    assert claims.dead() == {ONE}
    assert claims.bury({ONE, TWO}) == 2
    assert claims.dead() == set()
    assert set(Call.objects.filter(holder=ONE).values_list("outcome", flat=True)) == {Outcome.DIED}
    assert set(claims.admit(TWO, [])[1]) == {mine}


def test_calls_that_no_process_shows_life_for_leave_the_line(settings: Any) -> None:
    claims.beat(TWO)
    left, _ = enter("mara", ONE)
    mine, _ = enter("olu", TWO)
    assert claims.dead() == set(), "a process may just be about to show that it lives"
    Call.objects.update(created_at=timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL))
    assert claims.dead() == {ONE}
    assert claims.bury({ONE, TWO}) == 1
    assert claims.dead() == set()
    assert list(Call.objects.filter(outcome=Outcome.DIED).values_list("pk", flat=True)) == [left]
    assert Call.objects.get(pk=mine).outcome == ""


def test_a_process_that_was_only_frozen_is_told_and_gets_its_place_again(settings: Any) -> None:
    claims.beat(ONE)
    close_the_gate()
    come = arrival("mara")
    (number,), _ = claims.admit(ONE, [come])
    later, _ = enter("noor", TWO)
    Process.objects.update(seen_at=timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL))
    claims.bury({ONE})
    assert claims.beat(ONE)[1] == set()
    again, _ = claims.again(ONE, number, come)  # type: ignore[arg-type]
    assert claims.beat(ONE) == ({}, {again})
    Switch.objects.all().delete()
    settings.REPLIES_AT_ONCE = 1
    assert claims.admit(TWO, [])[1] == {}, f"{later} came later"
    assert set(claims.admit(ONE, [])[1]) == {again}


def test_a_beat_tells_what_is_to_be_let_go() -> None:
    number, turn = enter("mara")
    assert turn
    assert claims.beat(ONE) == ({turn.lease: False}, {number})
    gate.revoke(SERVER)
    assert claims.beat(ONE) == ({turn.lease: True}, {number})


def test_what_ended_long_ago_is_forgotten() -> None:
    old, _ = enter("mara")
    new, _ = enter("mara")
    claims.leave([Left(old, None, Outcome.DONE), Left(new, None, Outcome.DONE)])
    Call.objects.filter(pk=old).update(ended_at=timezone.now() - timedelta(hours=2))
    claims.forget()
    assert [call.pk for call in Call.objects.all()] == [new]
    Call.objects.update(ended_at=timezone.now() - timedelta(hours=2))
    claims.forget()
    assert demand.now().last_reply is not None
