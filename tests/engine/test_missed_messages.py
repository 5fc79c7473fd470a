"""Pages of this process that were not told of something get the whole conversation."""

from __future__ import annotations

import uuid

import orjson
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat import wire
from chat.models import Conversation, Message, Role, Status
from chat.rooms import Rooms
from models_admin import db_threads


class Listener:
    """A socket that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


def talk() -> tuple[uuid.UUID, list[str]]:
    """A conversation with a question and its finished reply; both as other processes would tell of them."""
    conversation = Conversation.objects.create(owner=User.objects.create_user(uuid.uuid4().hex))
    asked = Message.objects.create(
        conversation=conversation, role=Role.USER, status=Status.COMPLETE, text="?"
    )
    reply = Message.objects.create(
        conversation=conversation,
        parent=asked,
        role=Role.ASSISTANT,
        status=Status.COMPLETE,
        text="!",
        revision=2,
        finished_at=timezone.now(),
    )
    shown = wire.messages([asked.pk, reply.pk])
    return conversation.pk, [orjson.dumps({"type": "message", "message": each}).decode() for each in shown]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("heard", "missed"),
    [((0, 1), False), ((), True), ((1,), True), ((0,), True)],
    ids=["all", "none", "reply", "question"],
)
async def test_what_was_not_heard_is_found_once(heard: tuple[int, ...], missed: bool) -> None:
    conversation, texts = await db_threads.write(talk)
    rooms = Rooms()
    rooms.join(conversation, Listener())
    for index in heard:
        rooms.hear(conversation, texts[index])
    assert await rooms.missed() == ([conversation] if missed else [])
    assert await rooms.missed() == []


@pytest.mark.django_db(transaction=True)
async def test_the_only_page_has_missed_nothing_of_its_hello() -> None:
    conversation, texts = await db_threads.write(talk)
    rooms = Rooms()
    rooms.join(conversation, Listener())
    rooms.greeted(conversation, [orjson.loads(text)["message"] for text in texts])
    assert await rooms.missed() == []


@pytest.mark.django_db(transaction=True)
async def test_a_comparison_that_was_not_heard_of_is_found() -> None:
    def compared() -> uuid.UUID:
        conversation, _ = talk()
        Message.objects.update(finished_at=None)
        reply = Message.objects.get(role=Role.ASSISTANT)
        facts = {"status": Status.AWAITING, "queued_at": timezone.now(), "role": Role.ASSISTANT}
        Message.objects.create(
            conversation_id=conversation, parent=reply.parent, compared_with=reply, **facts
        )
        return conversation

    conversation = await db_threads.write(compared)
    rooms = Rooms()
    rooms.join(conversation, Listener())
    assert await rooms.missed() == [conversation]
