"""What is asked while people chat never walks through all messages, on neither database."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from support import calls
from support.calls import Call
from support.plans import walks
from support.servers import SERVER

from chat import claims, conversations, progress, queue, replies, sends, wire
from chat.models import Conversation, Message
from chat.sends import Send
from models_admin import process
from models_admin.models import Server
from models_admin.servers import state_row
from models_admin.switching import demand, gate
from models_admin.tabby.wire import ModelCard

_calls = calls._calls


@pytest.fixture
def talk(reader: User) -> Conversation:
    """One of the reader's conversations, with a message that waits behind an open gate, and one whose process died."""
    state_row.row(SERVER)
    state_row.set_loaded(SERVER, ModelCard("model-0-7B", {}))
    Server.objects.update(seen_at=timezone.now())
    mine = Conversation.objects.filter(owner=reader).order_by("-updated_at")
    for each in mine[:2]:
        replies.send(each.pk, uuid.uuid4(), "And then?")
    assert len(claims.claim(process.name(), 1)) == 1
    gate.release(Message.objects.filter(status="streaming").values_list("lease", flat=True))
    return mine[1]


ASKED: dict[str, Callable[[Conversation], Any]] = {
    "claim of another application": lambda talk: calls.claim(),
    "claim": lambda talk: claims.claim(process.name(), 16),
    "is there anything to claim": lambda talk: queue.waiting().exists(),
    "revive": lambda talk: progress.revive(),
    "demand": lambda talk: demand.now(),
    "send": lambda talk: replies.send(talk.pk, uuid.uuid4(), "And then?"),
    "send with others": lambda talk: sends.send([Send(talk.pk, uuid.uuid4(), "And then?")], claiming=True),
    "stop": lambda talk: replies.stop_all(talk.pk),
    "messages with their places in the queue": lambda talk: wire.messages(
        list(talk.messages.values_list("pk", flat=True))
    ),
    "changed lately": lambda talk: wire.changed_lately([talk.pk]),
    "hello": lambda talk: wire.branch(talk.pk),
    "earlier": lambda talk: conversations.earlier(talk, talk.head_id or 0),
    "the list": lambda talk: conversations.page(talk.owner),
}


@pytest.fixture
def _many_calls(_calls: None) -> None:
    """Thousands of entries of another application, all but one of which have ended."""
    calls.ask("mara")
    Call.objects.bulk_create(Call(person=1, state="ended", ended_at=timezone.now()) for _ in range(5000))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE calls_call")


@pytest.mark.usefixtures("_many_calls")
def test_nothing_that_is_asked_while_people_chat_walks_through_all_messages(talk: Conversation) -> None:
    found = {name: walks(partial(work, talk)) for name, work in ASKED.items()}
    assert not {name: walked for name, walked in found.items() if walked}
