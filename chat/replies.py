"""What people ask of a conversation: send, stop, regenerate, continue, edit, select. Each is one transaction.

claims.py and progress.py do the rest; sends.py does for many at once what `send` does for one. A message that is sent twice
(the page repeats it until it is acknowledged) is one message: `client_id` tells.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from chat import progress, wire
from chat.models import OPEN, Conversation, Message, Role, Status
from chat.page_schema import ChatEvent, MessageEvent
from models_admin import events, process
from models_admin.usage.recording import record
from models_admin.visible import visible

TITLE_CHARS = 60
# What an end leaves in a reply's row, taken out of one that goes on.
AFRESH: dict[str, Any] = {
    "html": "",
    "usage": None,
    "finish_reason": "",
    "error": "",
    "error_kind": "",
    "attempts": 0,
    "revivals": 0,
    "not_before": None,
    "stop_requested": None,
    "finished_at": None,
}


class FrameRefused(Exception):
    """A frame that is not obeyed: a stable `code`, and a `detail` that says what to do."""

    def __init__(self, code: str, detail: str, client_id: str = "") -> None:
        self.code, self.detail, self.client_id = code, detail, client_id
        super().__init__(detail)


@dataclass
class Done:
    """What changed: messages to show again, whether the title is new, whether the shown branch is another."""

    messages: list[int] = field(default_factory=list)
    titled: bool = False
    rebranched: bool = False
    stop: int | None = None  # a reply that some process streams and must stop


def obey(ask: Callable[..., Done], conversation: uuid.UUID, *facts: Any) -> tuple[Done, list[ChatEvent]]:
    """Do what is asked, and read what pages are to be told of it: one visit to the database for both."""
    done = ask(conversation, *facts)
    told: list[ChatEvent] = []
    if done.titled:
        told.append({"type": "conversation", "conversation": wire.conversation_by_id(conversation)})
    if not done.rebranched:
        # Of a reply that streams, the process that relays it tells: the database is behind it.
        shown: list[MessageEvent] = [
            {"type": "message", "message": message}
            for message in wire.messages(done.messages)
            if message["status"] != Status.STREAMING
        ]
        told += shown
    return done, told


def conversation_of(user_id: int, conversation_id: uuid.UUID) -> Conversation | None:
    """The conversation, if it is this user's."""
    return Conversation.objects.filter(pk=conversation_id, owner_id=user_id, deleted_at=None).first()


def send(conversation_id: uuid.UUID, client_id: uuid.UUID, text: str, parent: int | None = None) -> Done:
    """Add a person's message and a queued reply to it, behind `parent` (default: the last one shown)."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if (sent := _sent(conversation, client_id)) is not None:
            return Done([sent, *_children(sent)])
        check_text(text, str(client_id))
        _check_queue(conversation, str(client_id))
        behind = conversation.head_id if parent is None else own(conversation, parent, Role.ASSISTANT).pk
        message, reply = _add(conversation, behind, text, client_id)
        titled = not conversation.title
        conversation.title = conversation.title or title_of(text)
        conversation.save()
    return Done([message.pk, reply.pk], titled=titled, rebranched=parent is not None)


def edit(conversation_id: uuid.UUID, message_id: int, client_id: uuid.UUID, text: str) -> Done:
    """Add another version of a person's message, with a reply of its own; the earlier one stays reachable."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if (sent := _sent(conversation, client_id)) is not None:
            return Done([sent, *_children(sent)])
        check_text(text, str(client_id))
        _check_queue(conversation, str(client_id))
        old = own(conversation, message_id, Role.USER)
        message, reply = _add(conversation, old.parent_id, text, client_id)
        conversation.save()
    return Done([message.pk, reply.pk], rebranched=True)


def regenerate(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Add another version of a reply that has ended; the earlier one stays reachable."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        old = own(conversation, message_id, Role.ASSISTANT)
        if old.status in OPEN:
            raise FrameRefused(
                "still_open", "This reply has not ended yet. Stop it first, then ask for another."
            )
        _check_queue(conversation, "")
        reply = _queue(conversation, old.parent_id)
        conversation.save()
    return Done([reply.pk], rebranched=True)


def go_on(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Put a reply that was cut, or came to its length limit, back into the queue with what it has: the model continues it.

    One that is open already stays as it is, so that a repeat does no harm. Only the last reply of a branch can be
    continued: what was said after it was said to what it is.
    """
    now = timezone.now()
    with transaction.atomic():
        conversation = locked(conversation_id)
        reply = own(conversation, message_id, Role.ASSISTANT)
        if reply.status in OPEN:
            return Done([reply.pk])
        if not reply.continuable:
            raise FrameRefused(
                "not_cut", "This reply was not cut: there is nothing to continue. Regenerate it instead."
            )
        if _children(reply.pk):
            raise FrameRefused(
                "not_last", "Something was said after this reply. Only the last one can be continued."
            )
        _check_queue(conversation, "")
        handovers = [*reply.handovers, {"model": reply.model, "upto": len(reply.text)}]
        changes = {**AFRESH, "status": Status.QUEUED, "handovers": handovers, "revision": F("revision") + 1}
        same = Message.objects.filter(pk=reply.pk, status=reply.status, revision=reply.revision)
        same.update(origin=process.name(), queued_at=now, continued_at=now, **changes)
        conversation.updated_at = now
        conversation.save(update_fields=["updated_at"])
    return Done([reply.pk])


def select(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Show the branch that holds `message_id`, down to its newest message."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        at = own(conversation, message_id).pk
        newest: dict[int, int] = {}
        versions = conversation.messages.filter(compared_with=None).order_by("id")
        for pk, parent in versions.values_list("pk", "parent_id"):
            if parent is not None:
                newest[parent] = pk
        while at in newest:
            at = newest[at]
        conversation.head_id = at
        conversation.save(update_fields=["head"])
    return Done(rebranched=True)


def stop(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Stop a reply: at once if it is queued, else its process is to be told (the row tells it, too)."""
    now = timezone.now()
    with transaction.atomic():
        reply = own(locked(conversation_id), message_id, Role.ASSISTANT, beside=True)
        waiting = Message.objects.filter(pk=reply.pk, status__in=(Status.AWAITING, Status.QUEUED))
        if waiting.update(
            status=Status.STOPPED, stop_requested=now, finished_at=now, revision=F("revision") + 1
        ):
            stopped = Message.objects.select_related("conversation").get(pk=reply.pk)
            record(progress.take_left(stopped, Status.STOPPED))
            return Done([reply.pk])
        Message.objects.filter(pk=reply.pk, status=Status.STREAMING).update(stop_requested=now)
    return Done([reply.pk] if reply.status not in OPEN else [], stop=reply.pk)


def stop_all(conversation_id: uuid.UUID) -> None:
    """Stop every open reply of a conversation that is no longer there to be read."""
    opened = Message.objects.filter(conversation=conversation_id, status__in=OPEN)
    for message in opened.values_list("pk", flat=True):
        if stop(conversation_id, message).stop is not None:
            events.send("stop", message=message)


def title_of(text: str) -> str:
    """A conversation's title from its first message: the first line, cut at a word."""
    line = visible(" ".join(text.split("\n", 1)[0].split()) or " ".join(text.split()))
    if len(line) <= TITLE_CHARS:
        return line
    return line[:TITLE_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


def locked(conversation_id: uuid.UUID) -> Conversation:
    """A conversation, locked until the transaction ends."""
    return Conversation.objects.select_for_update().get(pk=conversation_id)


def _sent(conversation: Conversation, client_id: uuid.UUID) -> int | None:
    return conversation.messages.filter(client_id=client_id).values_list("pk", flat=True).first()


def _children(message_id: int) -> list[int]:
    return list(Message.objects.filter(parent_id=message_id).values_list("pk", flat=True))


def own(
    conversation: Conversation, message_id: int, role: Role | None = None, *, beside: bool = False
) -> Message:
    """A message of this conversation, of this role; `beside`: it may be a comparison. Raises FrameRefused."""
    found = conversation.messages.filter(pk=message_id).first()
    comparison = found is not None and found.compared_with_id is not None and not beside
    if found is None or comparison or (role is not None and found.role != role):
        raise FrameRefused("not_found", "There is no such message in this conversation. Reload the page.")
    return found


def check_text(text: str, client_id: str) -> None:
    """Refuse a message that nobody could answer, or that is too long."""
    if not text.strip():
        raise FrameRefused("empty", "The message is empty. Write something first.", client_id)
    if len(text) > settings.MESSAGE_MAX_CHARS:
        raise FrameRefused(
            "too_long",
            f"The message has {len(text):,} characters; {settings.MESSAGE_MAX_CHARS:,} are allowed. Shorten it.",
            client_id,
        )
    if "\x00" in text:
        raise FrameRefused("bad_text", "The message holds a NUL character. Remove it.", client_id)


def check_waiting(waiting: int, client_id: str) -> None:
    """Refuse another reply to somebody who waits for so many."""
    if waiting >= settings.QUEUED_PER_USER:
        raise FrameRefused(
            "too_many",
            f"You have {waiting} messages waiting for a reply already. Wait for one, or stop one.",
            client_id,
        )


def _check_queue(conversation: Conversation, client_id: str) -> None:
    theirs = Message.objects.filter(status=Status.QUEUED, conversation__owner_id=conversation.owner_id)
    check_waiting(theirs.count(), client_id)


def _add(
    conversation: Conversation, parent: int | None, text: str, client_id: uuid.UUID
) -> tuple[Message, Message]:
    message = conversation.messages.create(
        parent_id=parent, role=Role.USER, status=Status.COMPLETE, text=text, client_id=client_id
    )
    return message, _queue(conversation, message.pk)


def _queue(conversation: Conversation, parent: int | None) -> Message:
    now = timezone.now()
    reply = conversation.messages.create(
        parent_id=parent, role=Role.ASSISTANT, status=Status.QUEUED, origin=process.name(), queued_at=now
    )
    conversation.head = reply
    conversation.updated_at = now
    return reply
