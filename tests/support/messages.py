"""Messages that wait for a reply, without a process that answers them: a line to be claimed from."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat import progress, replies
from chat.dispatch import Dispatcher
from chat.models import Conversation, Message
from chat.progress import ClaimedReply, ReplyProgress, Unfinished
from models_admin.servers import state_row
from support.servers import SERVER


@pytest.fixture
def _a_model_is_loaded(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate is open, nobody is told of anything, and a person may have many messages waiting."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    settings.QUEUED_PER_USER = 100
    row = state_row.row(SERVER)
    row.model, row.seen_at = "usual", timezone.now()
    row.save()


def say(name: str, times: int = 1) -> list[int]:
    """Send so many messages of `name`, each in a conversation of its own; return the replies that wait."""
    owner, _ = User.objects.get_or_create(username=name)
    return [
        replies.send(Conversation.objects.create(owner=owner).pk, uuid.uuid4(), "Hello").messages[-1]
        for _ in range(times)
    ]


def put_back(work: ClaimedReply, grown: ReplyProgress, holder: str, *, failed: bool) -> bool:
    """Put one reply back into line by itself; return whether it was this claim's."""
    return progress.put_back([Unfinished(work, grown, failed)], holder) == [True]


def row(work: ClaimedReply) -> Message:
    """The reply as the database has it."""
    return Message.objects.get(pk=work.message)


async def ended(dispatcher: Dispatcher) -> None:
    """Wait until the dispatcher has carried out all that it was given."""
    async with asyncio.timeout(30):
        while dispatcher._background.tasks:
            await asyncio.wait(dispatcher._background.tasks)
