"""One reply from TabbyAPI to the pages that look on, and to the database: against the sandbox, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from support.messages import ended, row
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby, running

from chat import claims, replies
from chat.dispatch import Dispatcher
from chat.models import Conversation, Role, Status
from chat.progress import ClaimedReply
from chat.relay import EndReason
from chat.rooms import rooms
from models_admin import db_threads, process
from models_admin.models import Lease
from models_admin.servers import state_row

pytestmark = pytest.mark.django_db(transaction=True)
Sent = list[tuple[str, dict[str, Any]]]


class Page:
    """A page's socket: what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.more = asyncio.Event()

    def tell(self, text: str) -> None:
        self.told.append(json.loads(text))
        self.more.set()

    async def until(self, check: Callable[[list[dict[str, Any]]], Any]) -> None:
        async with asyncio.timeout(30):
            while not check(self.told):
                self.more.clear()
                await self.more.wait()


def written(events: list[dict[str, Any]]) -> str:
    """The text of the deltas, each of which goes on where the last one ended."""
    text = ""
    for event in events:
        if event["type"] == "delta" and "text" in event:
            assert event["offset"] == len(text)
            text += event["text"]
    return text


@pytest.fixture(scope="module")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with running(tmp_path_factory.mktemp("tabby")) as (sandbox, _):
        yield sandbox


@pytest.fixture
def tabby(_sandbox: Tabby) -> Tabby:
    _sandbox.reset()
    return _sandbox


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The events for other processes."""
    events: Sent = []
    monkeypatch.setattr("models_admin.events.send", lambda kind, **facts: events.append((kind, facts)))
    return events


@pytest.fixture
async def dispatcher(tabby: Tabby, sent: Sent, settings: Any) -> AsyncIterator[Dispatcher]:
    """One that carries out what it is given, and claims nothing by itself."""
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = tabby.url, ADMIN_KEY
    made = Dispatcher()
    yield made
    await made._clients.aclose()


def claimed(text: str, system_prompt: str = "", earlier: tuple[str, ...] = ()) -> ClaimedReply:
    """Ask `text` behind earlier messages, each answered with "Yes.", and claim the reply."""
    row = state_row.row(SERVER)
    row.model, row.seen_at = "alpha-7B", timezone.now()
    row.save()
    owner, _ = User.objects.get_or_create(username="mara")
    conversation = Conversation.objects.create(owner=owner, system_prompt=system_prompt)
    for each in earlier:
        for role, words in ((Role.USER, each), (Role.ASSISTANT, "Yes.")):
            conversation.head = conversation.messages.create(
                parent=conversation.head, role=role, text=words, status=Status.COMPLETE
            )
    conversation.save()
    replies.send(conversation.pk, uuid.uuid4(), text)
    (work,) = claims.claim(process.name(), 16)
    return work


async def test_deltas_go_on_where_the_last_one_ended(dispatcher: Dispatcher) -> None:
    work = await db_threads.write(claimed, "[[tokens=40 rate=200]]")
    page: Any = Page()
    rooms.join(work.conversation, page)
    try:
        dispatcher.begin(work)
        await ended(dispatcher)
    finally:
        rooms.leave(work.conversation, page)
    words = "".join(f" w{number}" for number in range(1, 41))
    assert written(page.told) == words
    assert len([each for each in page.told if each["type"] == "delta"]) > 1
    assert (await db_threads.read(row, work)).text == words


async def test_blocks_that_are_finished_together_come_as_one_frame(dispatcher: Dispatcher) -> None:
    text = "".join(f"# {number}\n" for number in range(300))
    work = await db_threads.write(claimed, f"[[echo rate=0]]{text}")
    page: Any = Page()
    rooms.join(work.conversation, page)
    try:
        dispatcher.begin(work)
        await ended(dispatcher)
    finally:
        rooms.leave(work.conversation, page)
    blocks = [each for each in page.told if each["type"] == "block"]
    assert 0 < len(blocks) < 150
    assert [each["upto"] for each in blocks] == sorted({each["upto"] for each in blocks})
    whole = await db_threads.read(row, work)
    assert "".join(each["html"] for each in blocks) == whole.html
    assert blocks[-1]["upto"] == len(whole.text)


async def test_pages_of_other_processes_are_told_where_there_are_some(
    dispatcher: Dispatcher, sent: Sent
) -> None:
    quiet = await db_threads.write(claimed, "[[tokens=5]]")
    watched = await db_threads.write(claimed, "[[tokens=5]]")
    rooms.watch([str(watched.conversation)])
    for work in (quiet, watched):
        dispatcher.begin(work)
    await ended(dispatcher)
    told: dict[str, list[dict[str, Any]]] = {}
    for kind, facts in sent:
        if kind == "rooms":
            for conversation, text in zip(facts["rooms"], facts["texts"], strict=True):
                told.setdefault(conversation, []).append(json.loads(text))
    assert written(told[str(watched.conversation)]) == " w1 w2 w3 w4 w5"
    assert written(told.get(str(quiet.conversation), [])) == ""


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (EndReason.STOPPED, EndReason.LET_GO, Status.STOPPED),
        (EndReason.LET_GO, EndReason.STOPPED, Status.QUEUED),
        (EndReason.LOST, EndReason.STOPPED, Status.STREAMING),
    ],
)
async def test_of_two_reasons_to_end_the_first_one_counts(
    dispatcher: Dispatcher, first: EndReason, second: EndReason, status: Status
) -> None:
    work = await db_threads.write(claimed, "[[tokens=1000 rate=50]]")
    page: Any = Page()
    rooms.join(work.conversation, page)
    dispatcher.begin(work)
    await page.until(written)
    rooms.leave(work.conversation, page)
    live = dispatcher.lives[work.message]
    live.end(first)
    live.end(second)
    await ended(dispatcher)
    assert (await db_threads.read(row, work)).status == status


async def test_a_reply_whose_row_is_gone_stops(dispatcher: Dispatcher) -> None:
    work = await db_threads.write(claimed, "[[tokens=1000 rate=5]]")
    page: Any = Page()
    rooms.join(work.conversation, page)
    dispatcher.begin(work)
    await page.until(written)
    rooms.leave(work.conversation, page)
    await dispatcher._look_at_leases()
    assert dispatcher.lives[work.message].verdict is None
    await db_threads.write(lambda: User.objects.get(pk=work.owner).delete())
    await dispatcher._look_at_leases()
    await ended(dispatcher)
    assert not await db_threads.read(Lease.objects.exists)


async def test_a_conversation_that_is_too_long_keeps_its_system_prompt_and_counts_what_it_leaves_out(
    dispatcher: Dispatcher, tabby: Tabby
) -> None:
    work = await db_threads.write(claimed, "[[echo]]the last", "Be brief.", ("x" * 4500,) * 5)
    dispatcher.begin(work)
    await ended(dispatcher)
    found = await db_threads.read(row, work)
    assert (found.status, found.text) == (Status.COMPLETE, "the last")
    prompts = [each["body"]["messages"] for each in tabby.log("/v1/chat/completions")]
    assert len(prompts) > 1
    assert {each[0]["content"] for each in prompts} == {"Be brief."}
    assert all(each[1]["role"] == "user" for each in prompts)
    assert prompts[-1][-1]["content"] == "[[echo]]the last"
    assert found.left_out == len(prompts[0]) - len(prompts[-1]) > 0
