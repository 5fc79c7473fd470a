"""Which of several servers writes what: the model first, then who has the least to do, then who answered last."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support import messages

from chat import claims, comparing, progress, sends
from chat.models import Conversation, Message, Status
from chat.progress import ClaimedReply, ReplyProgress
from chat.sends import Send, Sent
from gateway import claims as calls
from gateway.limits import Arrival
from models_admin.aliases.book import book
from models_admin.models import Alias, Lease, Server, Source, State, Token
from models_admin.presentation import snapshots, team_snapshots
from models_admin.servers import known, state_row, team
from models_admin.switching import gate, ownership, placement, service, transitions
from models_admin.switching.placement import Wish
from models_admin.tabby.errors import Unreachable
from models_admin.tabby.wire import ModelCard

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("two")]
TWO = "gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000"


@pytest.fixture
def two(settings: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two servers that run the same model, which holds four at once."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST, settings.QUEUED_PER_USER, settings.REPLIES_PER_USER = TWO, 100, 100
    known._rows.clear()
    first, second = known.all_servers()
    for server in (first, second):
        runs(server, "usual")
    return first, second


def runs(server: int, model: str, chosen_by: int = 0, most: int = 4) -> None:
    card = ModelCard(model, {"max_batch_size": most, "max_seq_len": 4096})
    with transaction.atomic():
        state_row.set_loaded(server, card, chosen_by=chosen_by)


def begin_switch(server: int) -> None:
    """Close the gate of a server."""
    switch = ownership.claim(transitions.request(server, "", source=Source.API).pk)
    assert switch is not None
    transitions.move(switch, State.DRAINING)


def say(name: str, times: int = 1) -> list[int]:
    waiting = messages.say(name, times)
    Message.objects.filter(pk__in=waiting).update(origin="")
    return waiting


def claimed(room: int = 16) -> list[ClaimedReply]:
    return claims.claim("one", room)


def where() -> Counter[int]:
    """How many generations each server has."""
    return Counter(Lease.objects.values_list("server", flat=True))


def place(*wishes: Wish) -> list[int]:
    with transaction.atomic():
        servers = placement.enter()
        return [servers.place(each).pk for each in wishes]


def test_replies_go_to_whoever_has_the_least_to_do(two: tuple[int, int]) -> None:
    first, second = two
    say("mara", 6)
    assert Counter(work.server for work in claimed()) == {first: 3, second: 3} == where()
    runs(second, "usual", most=12)
    say("noor", 6)
    claimed()
    assert where() == {first: 3, second: 9}, "by its limit, that one has less to do"


def test_messages_that_are_sent_go_there_too(two: tuple[int, int]) -> None:
    talks = [
        Conversation.objects.create(owner=User.objects.create(username=f"user{number}")).pk
        for number in range(4)
    ]
    found = sends.send([Send(each, uuid.uuid4(), "Hi") for each in talks], claiming=True)
    works = [sent.work for sent in found if isinstance(sent, Sent) and sent.work]
    assert Counter(work.server for work in works) == Counter(two) + Counter(two) == where()
    assert {work.model for work in works} == {"usual"}
    rows = Message.objects.filter(pk__in=[work.message for work in works])
    assert Counter(rows.values_list("server", flat=True)) == where()


def test_calls_go_there_too(two: tuple[int, int]) -> None:
    user = User.objects.create(username="mara")
    token = Token.objects.create(user=user, name="t", digest="d")
    arrival = Arrival(token.pk, user.pk, "chat/completions", timezone.now())
    with_model = Arrival(token.pk, user.pk, "chat/completions", timezone.now(), model="other")
    runs(two[1], "other")
    _, turns = calls.admit("web", [arrival, arrival, with_model])
    assert [(turn.server, turn.model, turn.context) for turn in turns.values()] == [
        (two[0], "usual", 4096), (two[0], "usual", 4096), (two[1], "other", 4096),
    ]  # fmt: skip


def test_who_answered_last_is_kept_if_that_is_not_much_busier(two: tuple[int, int]) -> None:
    first, second = two
    near = Wish(near=second)
    assert place(near) == [second]
    assert place(near, near, near, near, near, near) == [second, second, second, first, second, first]
    assert place(Wish(near=99)) == [first]


def test_a_conversation_stays_where_it_was_answered(two: tuple[int, int]) -> None:
    first, second = two
    runs(first, "usual", most=64)
    runs(second, "usual", most=64)
    talk = Conversation.objects.create(owner=User.objects.create(username="mara"))

    def sent() -> ClaimedReply:
        (found,) = sends.send([Send(talk.pk, uuid.uuid4(), "Hi")], claiming=True)
        assert isinstance(found, Sent)
        assert found.work is not None
        return found.work

    work = sent()
    assert work.server == first
    progress.end(work, progress.Status.COMPLETE, ReplyProgress("Hello", ""))
    gate.lease(first, "other", ["reply 0"])
    work = sent()
    assert work.server == first, "one more is no reason"
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    Message.objects.update(server=None)
    Message.objects.filter(pk=work.message).update(server=second)
    (again,) = claimed()
    assert again.server == second, "what was begun goes on there"
    progress.end(again, progress.Status.COMPLETE, ReplyProgress("So far", ""))
    Message.objects.filter(text="Hi").update(server=first)
    Lease.objects.all().delete()
    waiting = say_in(talk)
    (after,) = claimed()
    assert (after.message, after.server) == (waiting, second), "one that waited stays with the last reply's"


def say_in(talk: Conversation) -> int:
    (found,) = sends.send([Send(talk.pk, uuid.uuid4(), "Hi")], claiming=False)
    assert isinstance(found, Sent)
    Message.objects.filter(status="queued").update(origin="")
    return Message.objects.get(status="queued").pk


def test_the_model_that_is_asked_for_comes_first(two: tuple[int, int]) -> None:
    first, second = two
    runs(second, "coder", chosen_by=7)
    runs(first, "usual", chosen_by=5)
    assert team.model() == "coder"
    assert place(Wish(), Wish("usual"), Wish("coder"), Wish("gone")) == [second, first, second, second]
    full = place(*[Wish("coder")] * 5)
    assert full == [second] * 5, "whoever asks for it waits for it"
    for _ in range(4):
        gate.lease(second, "web", ["reply 1"])
    assert place(Wish(), Wish("coder")) == [first, second], "whoever asks for none takes what there is"


def test_a_comparison_goes_to_a_server_with_another_model_at_once(two: tuple[int, int]) -> None:
    first, second = two
    (reply,) = say("mara")
    (work,) = claimed()
    progress.end(work, Status.COMPLETE, ReplyProgress("Hi", ""))
    comparing.ask(work.conversation, reply)
    assert comparing.bring_in_line() == []
    runs(second, "other")
    assert len(comparing.bring_in_line()) == 1
    begin_switch(second)
    assert claimed() == [], "the gate of that one is closed"
    runs(first, "third")
    assert len(comparing.bring_in_line()) == 1
    Message.objects.update(origin="")
    assert [(work.server, work.model) for work in claimed()] == [(first, "third")]


def test_a_comparison_goes_rather_to_the_team_s_model(two: tuple[int, int]) -> None:
    first, second = two
    runs(first, "other", chosen_by=1)
    runs(second, "usual", chosen_by=2)
    Server.objects.filter(pk=second).update(wanted="usual")
    for _ in range(3):
        with transaction.atomic():
            assert placement.enter().place_without("third").pk == second  # type: ignore[union-attr]


def test_the_model_of_an_alias_is_that_of_its_conversations(two: tuple[int, int]) -> None:
    runs(two[1], "coder")
    Alias.objects.create(name="for-code", model="coder")
    book.forget()
    say("mara", 2)
    Conversation.objects.update(alias="for-code")
    assert {work.server for work in claimed()} == {two[1]}
    begin_switch(two[1])
    say("noor")
    Conversation.objects.update(alias="for-code")
    assert [(work.server, work.model) for work in claimed()] == [(two[0], "usual")], "the team's answers"


def test_a_closed_gate_one_out_of_reach_and_one_out_of_service_take_none(two: tuple[int, int]) -> None:
    first, second = two
    begin_switch(first)
    assert place(Wish(), Wish(near=first)) == [second, second]
    service.take_out(second, forced=True)
    with pytest.raises(gate.Closed):
        place(Wish())
    say("mara")
    with pytest.raises(gate.Closed):
        claimed()
    service.put_back(second)
    Server.objects.filter(pk=second).update(unreachable_since=timezone.now())
    with pytest.raises(gate.Closed):
        place(Wish())


def test_what_a_switch_cuts_goes_on_at_another_at_once(two: tuple[int, int]) -> None:
    (reply,) = say("mara")
    (work,) = claimed()
    begin_switch(work.server)
    assert gate.revoke(work.server) == 1
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    (again,) = claimed()
    assert (again.message, again.text, again.model) == (reply, "So far", "usual")
    assert again.server != work.server
    assert Message.objects.get(pk=reply).handovers == [], "the same model has it"


def test_the_last_one_in_service_stays(two: tuple[int, int]) -> None:
    first, second = two
    gate.lease(first, "web", ["reply 1"])
    assert service.take_out(first).out_of_service_since is not None
    assert not Lease.objects.exclude(revoked_at=None).exists()
    with pytest.raises(service.LastInService, match="gpu2 is the last server in service"):
        service.take_out(second)
    since = state_row.row(first).out_of_service_since
    assert service.take_out(first, let_go=True).out_of_service_since == since
    assert Lease.objects.exclude(revoked_at=None).exists()
    shown = team_snapshots.current()
    assert [each["out_of_service_since"] is None for each in shown["servers"]] == [False, True]
    assert service.put_back(first).out_of_service_since is None
    service.take_out(second)


def test_the_snapshot_is_of_the_team(two: tuple[int, int]) -> None:
    first, second = two
    runs(second, "coder", chosen_by=3)
    told = team_snapshots.current()
    assert (told["state"], told["model"], told["context"]) == ("ready", "coder", 4096)
    begin_switch(second)
    told = team_snapshots.current()
    assert (told["state"], told["model"]) == ("ready", "usual")
    assert told["switch"] is not None
    assert [(each["name"], each["state"], each["model"]) for each in told["servers"]] == [
        ("gpu1", "ready", "usual"), ("gpu2", "switching", "coder"),
    ]  # fmt: skip
    assert team_snapshots.epochs(told) == {each: state_row.row(each).epoch for each in two}
    Server.objects.filter(pk=first).update(unreachable_since=timezone.now(), trouble="secret words")
    told = team_snapshots.current()
    assert told["state"] == "switching"
    assert "secret words" not in str(snapshots.public(told))
    assert team_snapshots.first_reached(told) == second


def test_limits_and_order_hold_across_servers(settings: Any) -> None:
    settings.REPLIES_PER_USER, settings.REPLIES_AT_ONCE = 2, 5
    first, second = say("mara", 5), say("noor", 5)
    third = say("olu", 2)
    assert [work.message for work in claimed()] == [*first[:2], *second[:2], third[0]]
    assert sum(where().values()) == 5
    assert claimed() == []


def test_several_cost_no_statement_more_than_one(
    settings: Any,
) -> None:
    def statements() -> tuple[int, int]:
        say(f"mara{known.several()}", 3)
        with CaptureQueriesContext(connection) as claiming:
            claimed()
        talk = Conversation.objects.create(owner=User.objects.create(username=f"noor{known.several()}"))
        with CaptureQueriesContext(connection) as sending:
            sends.send([Send(talk.pk, uuid.uuid4(), "Hi")], claiming=True)
        return len(claiming), len(sending)

    book.refresh()
    of_two = statements()
    Lease.objects.all().delete()
    settings.TABBY_HOST = "http://10.0.0.5:5000"
    of_one = statements()
    assert of_two == of_one


def lose(server: int) -> None:
    state_row.set_trouble(server, Unreachable("It cannot be reached"))


def settles(server: int) -> float:
    """For how many seconds a server that is back is given nothing."""
    state_row.set_reachable(server)
    until = state_row.row(server).settles_until
    assert until is not None
    return round((until - timezone.now()).total_seconds())


def test_one_that_is_back_takes_replies_only_after_a_while_unless_no_other_does(two: tuple[int, int]) -> None:
    first, second = two
    lose(first)
    state_row.set_reachable(first)
    assert place(Wish(near=first), Wish()) == [second, second]
    lose(second)
    assert place(Wish()) == [first], "better one that may be lost than none"
    state_row.set_reachable(second)
    Server.objects.update(settles_until=timezone.now())
    assert place(Wish(), Wish()) == [first, second]


def test_the_oftener_it_is_lost_the_longer_that_takes(two: tuple[int, int]) -> None:
    found = []
    for _ in range(7):
        lose(two[0])
        lose(two[0])  # it is lost once, however often that is seen
        found.append(settles(two[0]))
        assert settles(two[0]) == found[-1], "it was back already"
    assert found == [3, 6, 12, 24, 48, 60, 60]
    Server.objects.update(lost_at=timezone.now() - state_row.FORGOTTEN_AFTER)
    lose(two[0])
    assert settles(two[0]) == 3
    lose(two[0])
    runs(two[0], "usual")
    assert settles(two[0]) == 6, "also where it is seen by its model"
    lose(two[0])
    runs(two[0], "another")
    assert settles(two[0]) == 12


def test_the_only_one_is_given_replies_at_once(settings: Any) -> None:
    settings.TABBY_HOST = "http://10.0.0.5:5000"
    lose(known.default())
    state_row.set_reachable(known.default())
    assert place(Wish()) == [known.default()]
