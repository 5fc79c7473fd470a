"""What people send at the same moment is written in one transaction, and nobody has part in what is wrong with another's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, OperationalError, connection, transaction
from support import messages
from support.rivals import acting_as, has_to_wait, kept_waiting
from support.servers import SERVER

from chat import claims, progress, prompts, send_locks, sends, wire
from chat.models import Conversation, Message, Role, Status
from chat.progress import ReplyProgress
from chat.replies import FrameRefused
from chat.sends import Send, Sent
from models_admin import process
from models_admin.models import Lease, Server, Source, State, Switch, TabbyModel
from models_admin.servers import state_row
from models_admin.tabby.errors import Unreachable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
MOST_STATEMENTS = 5


# Any message with this word is one that the database refuses.
REFUSING = {
    "sqlite": (
        "CREATE TRIGGER refusing BEFORE INSERT ON chat_message WHEN NEW.text LIKE '%unwritable%' "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        "DROP TRIGGER refusing",
    ),
    "postgresql": (
        "ALTER TABLE chat_message ADD CONSTRAINT refusing CHECK (text NOT LIKE '%unwritable%')",
        "ALTER TABLE chat_message DROP CONSTRAINT refusing",
    ),
}


@pytest.fixture
def _refusing(transactional_db: None) -> Iterator[None]:
    put, drop = REFUSING[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(put)
    yield
    with connection.cursor() as cursor:
        cursor.execute(drop)


@contextmanager
def statements() -> Iterator[list[str]]:
    found: list[str] = []

    def keep(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            found.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield found


def talk(name: str, **facts: Any) -> Conversation:
    owner, _ = User.objects.get_or_create(username=name)
    return Conversation.objects.create(owner=owner, **facts)


def saying(text: str, where: Conversation | None = None) -> Send:
    return Send((where or talk("mara")).pk, uuid.uuid4(), text)


def sent(*asked: Send) -> list[Sent]:
    """Send them; all of them are taken."""
    found = sends.send(asked, claiming=True)
    assert all(isinstance(each, Sent) for each in found), found
    return [each for each in found if isinstance(each, Sent)]


def said(where: Send) -> list[tuple[str, str, str]]:
    rows = Message.objects.filter(conversation=where.conversation)
    return list(rows.values_list("role", "status", "text"))


def told(one: Sent) -> list[tuple[str, str]]:
    return [
        (each["message"]["role"], each["message"]["status"])
        for each in one.events
        if each["type"] == "message"
    ]


def test_a_message_its_reply_and_the_claim_take_five_statements() -> None:
    where = talk("mara")
    for text in ("First", "Second"):
        asked = saying(text, where)
        with statements() as found:
            (one,) = sends.send([asked], claiming=True)
        assert len(found) <= MOST_STATEMENTS, found
        assert isinstance(one, Sent)
        assert one.work is not None
        assert progress.end(one.work, Status.COMPLETE, ReplyProgress("Yes.", ""))
    assert [turn["content"] for turn in one.work.prompt] == ["First", "Yes.", "Second"]


def test_many_messages_take_no_more_than_one() -> None:
    asked = [saying("Hello", talk(f"person {number}")) for number in range(10)]
    with statements() as found:
        many = sent(*asked)
    assert len(found) <= MOST_STATEMENTS, found
    assert all(each.work for each in many)


def test_what_is_sent_is_what_the_database_has() -> None:
    where = talk("mara", alias="none-such", system_prompt="Be brief.", temperature=0.5, max_tokens=7)
    (one,) = sent(saying("How are\nyou?", where))
    work, row = one.work, Conversation.objects.get(pk=where.pk)
    assert work is not None
    message, reply = row.messages.order_by("pk")
    assert (message.role, message.status, message.text) == (Role.USER, Status.COMPLETE, "How are\nyou?")
    assert (reply.parent_id, reply.status, reply.claim, reply.lease) == (
        message.pk, Status.STREAMING, work.claim, work.lease,
    )  # fmt: skip
    assert (row.head_id, row.title) == (reply.pk, "How are")
    assert row.updated_at > where.updated_at
    lease = Lease.objects.get()
    assert (lease.pk, lease.subject) == (work.lease, f"reply {reply.pk}")
    assert [each for each in one.events if each["type"] == "conversation"] == [
        {"type": "conversation", "conversation": wire.conversation(row)}
    ]
    shown = {each["message"]["id"]: each["message"] for each in one.events if each["type"] == "message"}
    assert [shown[message.pk], work.row] == wire.messages([message.pk, reply.pk])
    assert work.params == {"temperature": 0.5, "max_tokens": 7}
    assert work.prompt == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How are\nyou?"},
    ]
    assert work.prompt == prompts.above(reply, prompts.said([where.pk])[where.pk])


def test_a_message_that_is_here_already_is_shown_again_and_keeps_no_other_back() -> None:
    first, other = saying("Hello"), saying("Good day", talk("noor"))
    (one,) = sent(first)
    again, beside = sent(first, other)
    assert told(one) == [("user", "complete")]
    assert told(again) == [("user", "complete")], "the process that streams the reply shows it"
    assert again.work is None
    assert beside.work is not None
    assert [role for role, *_ in said(first)] == ["user", "assistant"]


@pytest.mark.parametrize("how", ["empty", "too_long", "bad_text", "too_many"])
def test_a_message_that_is_refused_keeps_no_other_back(settings: Any, how: str) -> None:
    settings.MESSAGE_MAX_CHARS, settings.QUEUED_PER_USER, settings.REPLIES_PER_USER = 10, 2, 1
    text = {"empty": " ", "too_long": "x" * 11, "bad_text": "a\x00b", "too_many": "Hello"}[how]
    mine = [saying("Hello") for _ in range(3 if how == "too_many" else 0)]
    sends.send(mine[:2], claiming=True)
    asked = [*mine[2:], saying(text), saying("Well", talk("noor"))]
    *_, refused, well = sends.send(asked, claiming=True)
    assert isinstance(refused, FrameRefused)
    assert (refused.code, refused.client_id) == (how, str(asked[-2].client_id))
    assert said(asked[-2]) == []
    assert isinstance(well, Sent)
    assert well.work is not None


def test_a_limit_counts_those_who_send_together(settings: Any) -> None:
    settings.QUEUED_PER_USER = 2
    found = sends.send([saying("Hello") for _ in range(3)], claiming=False)
    assert [type(each) for each in found] == [Sent, Sent, FrameRefused]


@pytest.mark.usefixtures("_refusing")
def test_what_the_database_refuses_keeps_no_other_back() -> None:
    asked = [saying("Hello"), saying("unwritable", talk("noor")), saying("Good day", talk("olu"))]
    first, refused, last = sends.send(asked, claiming=True)
    assert isinstance(refused, DatabaseError)
    assert said(asked[1]) == []
    assert isinstance(first, Sent)
    assert isinstance(last, Sent)
    assert [status for _, status, _ in said(asked[0]) + said(asked[2])] == ["complete", "queued"] * 2


def test_a_conversation_that_is_gone_keeps_no_other_back() -> None:
    gone, here = saying("Hello"), saying("Hello", talk("noor"))
    Conversation.objects.filter(pk=gone.conversation).delete()
    lost, well = sends.send([gone, here], claiming=True)
    assert isinstance(lost, Conversation.DoesNotExist)
    assert isinstance(well, Sent)
    assert well.work is not None


def test_ids_that_are_taken_meanwhile_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which are read before the locks are held."""
    asked = [saying("Hello"), saying("Hello", talk("noor"))]
    (one,) = sent(asked[0])
    assert one.work is not None
    more = [saying("More", Conversation.objects.get(pk=each.conversation)) for each in asked]
    taken = f"{one.work.message - 1}, {one.work.message}"
    monkeypatch.setitem(send_locks.LOCK_PARTS[connection.vendor], "ids", taken)
    sent(*more)
    assert [text for _, _, text in said(asked[0])] == ["Hello", "", "More", ""]
    assert [text for _, _, text in said(asked[1])] == ["More", ""]


def test_a_message_never_has_a_lower_id_than_what_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids are read before the locks are held: others may have added to the conversation since."""
    where = talk("mara")
    where.head = where.messages.create(pk=2_000_000, role=Role.ASSISTANT, status=Status.COMPLETE)
    where.save()
    monkeypatch.setitem(send_locks.LOCK_PARTS[connection.vendor], "ids", "1000000, 1000001")
    (one,) = sent(saying("Hello", where))
    assert len(where.messages.all()) == 3
    assert not where.messages.filter(pk__in=[1_000_000, 1_000_001])
    assert told(one) == [("user", "complete"), ("assistant", "queued")]


@pytest.mark.parametrize("limit", ["REPLIES_AT_ONCE", "REPLIES_PER_USER"])
def test_who_came_first_begins_first(settings: Any, limit: str) -> None:
    setattr(settings, limit, 2)
    people = ["mara"] * 4 if limit == "REPLIES_PER_USER" else ["mara", "noor", "olu", "pia"]
    asked = [saying("Hello", talk(each)) for each in people]
    found = sent(*asked[::-1])
    assert [bool(each.work) for each in found] == [False, False, True, True]
    assert [told(each)[1:] for each in found] == [[("assistant", "queued")]] * 2 + [[]] * 2
    places = [
        each.events[-1]["message"]["queue_position"]
        for each in found[:2]
        if each.events[-1]["type"] == "message"
    ]
    assert places == [2, 1]


def test_who_waits_longer_keeps_his_place(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 2
    with acting_as("another"):
        sends.send([saying("Hello", talk("noor"))], claiming=False)
    first, second = sent(saying("Hello"), saying("Hello", talk("olu")))
    assert first.work is not None
    assert second.work is None


def test_a_conversation_has_one_reply_at_a_time() -> None:
    where = talk("mara")
    (first,) = sent(saying("First", where))
    (second,) = sent(saying("Second", where))
    assert first.work is not None
    assert second.work is None
    assert progress.end(first.work, Status.COMPLETE, ReplyProgress("Done", ""))
    (later,) = claims.claim(process.name(), 16)
    assert [turn["content"] for turn in later.prompt] == ["First", "Done", "Second"]


@pytest.mark.parametrize("why", ["switch", "empty", "away", "ending"])
def test_where_nothing_may_begin_the_message_waits(why: str) -> None:
    if why == "switch":
        TabbyModel.objects.create(name="new")
        Switch.objects.create(
            server_id=SERVER, target="new", source=Source.API, state=State.LOADING, drain_seconds=1
        )
    if why == "empty":
        Server.objects.update(model="")
    if why == "away":
        state_row.set_trouble(SERVER, Unreachable("TabbyAPI cannot be reached"))
    asked = saying("Hello")
    with statements() as found:
        (one,) = sends.send([asked], claiming=why != "ending")
    assert len(found) <= MOST_STATEMENTS, found
    assert isinstance(one, Sent)
    assert told(one) == [("user", "complete"), ("assistant", "queued")]
    assert said(asked) == [("user", "complete", "Hello"), ("assistant", "queued", "")]
    assert not Lease.objects.exists()


def test_nothing_begins_while_somebody_closes_the_gate() -> None:
    asked = saying("Hello")

    def tried() -> None:
        (one,) = sends.send([asked], claiming=True)
        if isinstance(one, Exception):
            raise one

    with transaction.atomic():
        state_row.lock(SERVER)
        assert has_to_wait(tried)
    assert said(asked) == []


def test_a_conversation_that_is_locked_keeps_no_other_waiting() -> None:
    locked, free = saying("Hello"), saying("Hello", talk("noor"))
    with transaction.atomic():
        Conversation.objects.select_for_update().get(pk=locked.conversation)
        ended = kept_waiting(partial(sends.send, [locked, free], claiming=True))
        if connection.vendor == "postgresql":
            assert [status for _, status, _ in said(free)] == ["complete", "streaming"]
    ended()
    assert [len(said(each)) for each in (locked, free)] == [2, 2]


def test_a_database_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def away(*args: Any) -> None:
        tries.append(1)
        raise OperationalError("database is locked")

    monkeypatch.setattr(sends, "lock", away)
    found = sends.send([saying("Hello"), saying("Hello")], claiming=True)
    assert [type(each) for each in found] == [OperationalError] * 2
    assert not Message.objects.exists()
    assert tries == [1]
