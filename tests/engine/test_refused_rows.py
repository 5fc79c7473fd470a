"""A row that the database will not take fails its reply, in words; a database that is away is waited for."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection
from django.test import Client
from django.utils import timezone
from support.messages import ended, row
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby, running

from chat import claims, dispatch, progress, replies, reply_ends, wire
from chat.dispatch import Dispatcher
from chat.models import Conversation, Message, Role, Status
from chat.progress import ClaimedReply
from chat.relay import EndReason
from models_admin import db_threads, process
from models_admin.models import Lease
from models_admin.servers import state_row
from models_admin.tabby.aclient import AsyncTabby

pytestmark = pytest.mark.django_db(transaction=True)

# Any text of a reply with this word is one that the database refuses.
REFUSING = {
    "sqlite": (
        "CREATE TRIGGER refusing BEFORE UPDATE ON chat_message WHEN NEW.text LIKE '%unwritable%' "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        "DROP TRIGGER refusing",
    ),
    "postgresql": (
        "ALTER TABLE chat_message ADD CONSTRAINT refusing CHECK (role = 'user' OR text NOT LIKE '%unwritable%')",
        "ALTER TABLE chat_message DROP CONSTRAINT refusing",
    ),
}


@pytest.fixture(scope="module")
def tabby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with running(Path(tmp_path_factory.mktemp("tabby"))) as (sandbox, _):
        yield sandbox


@pytest.fixture
async def dispatcher(
    tabby: Tabby, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Dispatcher]:
    """One that looks after what it is given, and claims nothing by itself."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr(reply_ends, "RETRY_SECONDS", 0.05)
    tabby.reset()
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = tabby.url, ADMIN_KEY
    made = Dispatcher()
    yield made
    await made._clients.aclose()


@pytest.fixture
def _refusing(transactional_db: None) -> Iterator[None]:
    put, drop = REFUSING[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(put)
    yield
    with connection.cursor() as cursor:
        cursor.execute(drop)


def asked(*texts: str) -> list[ClaimedReply]:
    """Claim a reply to each text, for this process."""
    row = state_row.row(SERVER)
    row.model, row.seen_at = "alpha-7B", timezone.now()
    row.save()
    owner, _ = User.objects.get_or_create(username="mara")
    for text in texts:
        replies.send(Conversation.objects.create(owner=owner).pk, uuid.uuid4(), text)
    return claims.claim(process.name(), 16)


@pytest.mark.usefixtures("_refusing")
async def test_a_text_that_the_database_refuses_fails_the_reply_and_frees_its_lease(
    dispatcher: Dispatcher,
) -> None:
    (work,) = await db_threads.write(asked, "[[echo]]this is unwritable")
    dispatcher.begin(work)
    await ended(dispatcher)
    found = await db_threads.read(row, work)
    assert (found.status, found.error, found.error_kind) == (Status.FAILED, reply_ends.REFUSED, "internal")
    assert found.text == ""
    assert not await db_threads.read(Lease.objects.exists)
    assert dispatcher.lives == {}


@pytest.mark.usefixtures("_refusing")
async def test_it_keeps_no_other_reply_from_being_saved(dispatcher: Dispatcher, tabby: Tabby) -> None:
    tabby.fault("chat", "hang", at=5, times=2)
    works = await db_threads.write(
        asked, "[[echo]]unwritable from here on to the end", "[[echo]]and this is well, on to its end"
    )
    for work in works:
        dispatcher.begin(work)
    refused, well = (dispatcher.lives[work.message] for work in works)
    async with asyncio.timeout(30):
        while "unwritable" not in refused.text() or not well.text():
            await asyncio.sleep(0.01)
    await dispatcher._save([refused, well])
    saved = await db_threads.read(row, well.work)
    assert saved.text
    assert well.text().startswith(saved.text)
    assert saved.status == Status.STREAMING
    dispatcher.stop_reply(well.work.message)
    await ended(dispatcher)
    assert (await db_threads.read(row, refused.work)).status == Status.FAILED
    assert (await db_threads.read(row, well.work)).status == Status.STOPPED
    assert not await db_threads.read(Lease.objects.exists)


@pytest.mark.usefixtures("_refusing")
async def test_it_keeps_no_other_reply_from_going_back_into_line(
    dispatcher: Dispatcher, tabby: Tabby
) -> None:
    tabby.fault("chat", "hang", at=5, times=3)
    texts = [f"[[echo]]{word} from here on to the end" for word in ("this", "unwritable", "that")]
    works = await db_threads.write(asked, *texts)
    for work in works:
        dispatcher.begin(work)
    lives = [dispatcher.lives[work.message] for work in works]
    async with asyncio.timeout(30):
        while not all(live.text().count(" ") >= 2 for live in lives):
            await asyncio.sleep(0.01)
    for live in lives:
        live.end(EndReason.LET_GO)
    await ended(dispatcher)
    found = [await db_threads.read(row, work) for work in works]
    assert [each.status for each in found] == [Status.QUEUED, Status.FAILED, Status.QUEUED]
    assert [bool(each.text) for each in found] == [True, False, True]
    assert not await db_threads.read(Lease.objects.exists)


async def test_a_reply_that_cannot_be_begun_fails_and_those_claimed_with_it_begin(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await db_threads.write(asked, "[[echo]]one", "[[echo]]two")
    live = dispatch.LiveReply

    def broken(work: ClaimedReply, client: AsyncTabby) -> dispatch.LiveReply:
        if work is first:
            raise RecursionError
        return live(work, client)

    monkeypatch.setattr(dispatch, "LiveReply", broken)
    for work in (first, second):
        dispatcher.begin(work)
    await ended(dispatcher)
    found = await db_threads.read(row, first)
    assert (found.status, found.error) == (Status.FAILED, progress.INTERNAL)
    assert (await db_threads.read(row, second)).text == "two"
    assert not await db_threads.read(Lease.objects.exists)


def test_a_reply_whose_rows_cannot_be_read_fails_and_those_chosen_with_it_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    shown = wire.shown

    def broken(message: Message, **facts: Any) -> dict[str, Any]:
        if message.text == "unreadable":
            raise RecursionError
        return shown(message, **facts)

    monkeypatch.setattr(wire, "shown", broken)
    (work,) = asked("unreadable", "well")
    assert work.asked is not None
    assert work.asked["text"] == "well"
    failed = Message.objects.get(role=Role.ASSISTANT, status=Status.FAILED)
    assert (failed.error, failed.lease) == (progress.INTERNAL, None)
    assert set(Lease.objects.values_list("pk", flat=True)) == {work.lease}


async def test_a_database_that_is_away_is_waited_for() -> None:
    tries: list[int] = []

    async def locked_at_first() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("database is locked")
        return "written"

    assert await reply_ends.insist(locked_at_first) == "written"


def test_what_means_away() -> None:
    limit = OperationalError("too long for a text index")
    limit.__cause__ = psycopg.errors.ProgramLimitExceeded()
    gone = OperationalError("the server closed the connection")
    gone.__cause__ = psycopg.errors.AdminShutdown()
    assert db_threads.away(OperationalError("database is locked"))
    assert db_threads.away(InterfaceError("connection already closed"))
    assert db_threads.away(gone)
    for error in (limit, DataError(), IntegrityError(), ValueError(), OverflowError(), TypeError()):
        assert not db_threads.away(error)


async def test_a_reply_without_end_is_ended_at_its_bound(
    dispatcher: Dispatcher, tabby: Tabby, settings: Any
) -> None:
    settings.REPLY_MAX_CHARS = 1000
    (work,) = await db_threads.write(asked, "[[tokens=1000000 rate=0 reasoning=100]]")
    dispatcher.begin(work)
    await ended(dispatcher)
    found = await db_threads.read(row, work)
    assert (found.status, found.finish_reason) == (Status.COMPLETE, "max_chars")
    assert len(found.reasoning) > 300
    assert len(found.text) + len(found.reasoning) == 1000
    assert " w100 " in f"{found.reasoning} "
    async with asyncio.timeout(30):
        while tabby.log("/v1/chat/completions")[-1]["outcome"] != "disconnected":
            await asyncio.sleep(0.02)


async def test_thoughts_without_end_are_ended_at_the_bound_too(dispatcher: Dispatcher, settings: Any) -> None:
    settings.REPLY_MAX_CHARS = 1000
    (work,) = await db_threads.write(asked, "[[tokens=1000000 rate=0 reasoning=1000000]]")
    dispatcher.begin(work)
    await ended(dispatcher)
    found = await db_threads.read(row, work)
    assert (found.status, found.finish_reason, found.text) == (Status.COMPLETE, "max_chars", "")
    assert len(found.reasoning) == 1000


def test_a_conversation_with_values_from_before_there_were_bounds_can_be_opened(client: Client) -> None:
    owner = User.objects.create(username="mara")
    conversation = Conversation.objects.create(owner=owner)
    usage = {"seconds": 10**308, "prompt_tokens": 2**70, "completion_tokens": 3, "tokens_per_second": 1e308}
    conversation.head = conversation.messages.create(
        role=Role.ASSISTANT, status=Status.COMPLETE, text="Hello", usage=usage
    )
    conversation.save()
    told = orjson.loads(orjson.dumps(wire.branch(conversation.pk)))
    known = {**dict.fromkeys(usage), "completion_tokens": 3, "total_tokens": None}
    assert told["messages"][0]["usage"] == known
    client.force_login(owner)
    answer = client.get(f"/api/conversations/{conversation.pk}/export.json")
    assert orjson.loads(answer.getvalue())["messages"][0]["usage"] == known
