"""One line for all applications: order, fairness and limits hold across replies and calls alike."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils import timezone
from support import calls, messages
from support.calls import Call
from support.rivals import acting_as
from support.servers import SERVER

from chat import claims, queue, replies
from chat.models import Conversation, Message, Status
from chat.progress import ReplyProgress
from models_admin.models import Lease
from models_admin.servers import state_row
from models_admin.switching import admission, demand, gate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded", "_calls")]
_a_model_is_loaded = messages._a_model_is_loaded
_calls = calls._calls


def say(name: str, times: int = 1) -> list[int]:
    """Messages of `name`; their replies, which any process may begin."""
    waiting = messages.say(name, times)
    Message.objects.filter(pk__in=waiting).update(origin="")
    return waiting


def claim(holder: str = "one", room: int = 16) -> list[int]:
    return [work.message for work in claims.claim(holder, room)]


def end(reply: int) -> None:
    Message.objects.filter(pk=reply).update(status=Status.COMPLETE)


def test_each_is_asked_for_its_own_and_gets_a_lease_of_its_name() -> None:
    (reply,), (call,) = say("mara"), calls.ask("noor")
    assert claim() == [reply]
    assert calls.claim() == [call]
    assert set(Lease.objects.values_list("subject", flat=True)) == {f"reply {reply}", f"call {call}"}
    assert claim() == calls.claim() == []


def test_who_came_first_has_the_place_of_whatever_kind_he_is(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 3
    first, second, third, fourth = say("mara"), calls.ask("noor"), say("olu"), calls.ask("pia")
    fifth = say("quinn")
    assert claim() == [*first, *third]
    assert calls.claim() == second
    assert claim() == calls.claim() == []
    end(first[0])
    assert claim() == [], "a call came before"
    assert calls.claim() == fourth
    calls.end(second[0])
    assert calls.claim() == []
    assert claim() == fifth


def test_at_the_same_moment_one_kind_comes_first_and_of_one_the_lower_id(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 2
    now = timezone.now()
    waiting, called = say("mara", 2), calls.ask("noor", 2, asked_at=now)
    Message.objects.update(created_at=now)
    assert claim() == []
    assert calls.claim() == called
    for call in called:
        calls.end(call)
    assert claim(room=1) == waiting[:1]


def test_a_persons_limit_counts_all_kinds(settings: Any) -> None:
    settings.REPLIES_PER_USER = 3
    first, second, third = say("mara", 2), calls.ask("mara", 2), say("noor")
    assert claim(room=1) == first[:1]
    assert calls.claim() == second[:1], "the other reply stands before the second call"
    assert claim() == [first[1], *third]
    assert calls.claim() == []
    end(first[0])
    assert calls.claim() == second[1:]


def test_whoever_is_at_his_limit_takes_no_place_from_another_kind(settings: Any) -> None:
    settings.REPLIES_PER_USER, settings.REPLIES_AT_ONCE = 2, 5
    calls.ask("mara", 50)
    first, second = say("noor", 50), say("olu")
    assert claim() == [*first[:2], *second]
    assert len(calls.claim()) == 2


def test_a_series_is_its_kinds_own() -> None:
    reply = say("mara")
    series = Message.objects.annotate(series=Cast("conversation_id", CharField())).values_list(
        "series", flat=True
    )
    called = calls.ask("noor", 2, thread=series[0])
    assert claim() == reply
    assert calls.claim() == called[:1], "one at a time"
    calls.end(called[0])
    assert calls.claim() == called[1:]


def test_of_a_series_the_lower_id_begins_first_whatever_the_clocks_say() -> None:
    ahead = timezone.now() + timedelta(hours=1)
    conversation = Conversation.objects.create(owner=User.objects.create(username="mara"))
    first, second = (replies.send(conversation.pk, uuid.uuid4(), "Hi").messages[-1] for _ in range(2))
    Message.objects.update(origin="")
    Message.objects.filter(pk=first).update(created_at=ahead, queued_at=ahead)
    assert claim() == [first]
    end(first)
    assert claim() == [second]


def test_what_may_not_begin_yet_keeps_no_place(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    (call,) = calls.ask("mara", not_before=timezone.now() + timedelta(minutes=1))
    reply = say("noor")
    assert calls.claim() == []
    assert claim() == reply
    Call.objects.update(not_before=timezone.now())
    assert calls.claim() == []
    end(reply[0])
    assert calls.claim() == [call]


def test_what_is_offered_to_another_process_keeps_its_place_and_is_soon_anybodys(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    with acting_as("asked"):
        conversation = Conversation.objects.create(owner=User.objects.create(username="mara"))
        (reply,) = replies.send(conversation.pk, uuid.uuid4(), "Hello").messages[-1:]
    say("noor")
    calls.ask("olu", asked_by="other")
    assert claim("other") == []
    assert calls.claim("other") == []
    Message.objects.filter(pk=reply).update(queued_at=timezone.now() - 2 * admission.COURTESY)
    assert claim("other") == [reply]


def test_a_reply_that_a_switch_cut_keeps_its_place(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    reply = say("mara")
    (work,) = claims.claim("one", 1)
    call = calls.ask("noor")
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    assert calls.claim() == []
    assert claim() == reply
    end(reply[0])
    assert calls.claim() == call


def test_a_reply_that_is_continued_stands_where_its_reader_asked_for_that(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 1
    (old,) = say("mara")
    Message.objects.filter(pk=old).update(status=Status.STOPPED, text="Once upon", origin="one")
    (before,) = say("noor")
    replies.go_on(Message.objects.get(pk=old).conversation_id, old)
    (after,) = say("olu")
    Message.objects.filter(pk=old).update(origin="")
    assert queue.places(Message.objects.all()) == {before: 1, old: 2, after: 3}
    began = []
    while found := claim():
        began += found
        end(found[0])
    assert began == [before, old, after]


def test_the_place_in_line_counts_all_who_wait() -> None:
    running = say("mara")
    assert claim() == running
    say("noor")
    calls.ask("olu", 3)
    (reply,) = say("pia")
    assert queue.places(Message.objects.filter(pk=reply)) == {reply: 5}
    assert admission.places("reply", []) == {}


def test_the_demand_is_that_of_all() -> None:
    assert demand.now() == demand.Demand()
    (waiting,), (running, called) = say("mara"), calls.ask("mara", 2)
    say("noor")
    assert calls.claim(room=1) == [running]
    since = timezone.now() - timedelta(minutes=2)
    Call.objects.filter(pk=called).update(asked_at=since)
    Call.objects.filter(pk=running).update(asked_at=since - timedelta(hours=1))
    assert demand.now() == demand.Demand(waiting=3, people=2, oldest=since)
    Message.objects.filter(pk=waiting).update(queued_at=since - timedelta(minutes=1))
    calls.end(running)
    last = Call.objects.get(pk=running).ended_at
    Message.objects.filter(pk=waiting).update(finished_at=since)
    assert demand.now() == demand.Demand(3, 2, last, since - timedelta(minutes=1))
    later = timezone.now()
    Message.objects.filter(pk=waiting).update(finished_at=later)
    assert demand.now().last_reply == later


def test_nothing_is_admitted_behind_a_closed_gate() -> None:
    calls.ask("mara")
    state_row.set_loaded(SERVER, None)
    with pytest.raises(gate.Closed):
        calls.claim()
