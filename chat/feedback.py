"""What the reader of a reply says of it: given, changed, taken back, counted. Nothing else of the conversation is told."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from chat import wire
from chat.models import OPEN, Conversation, Feedback, Message, Role, Thumb
from chat.page_schema import FeedbackEvent
from models_admin import events

PER_MINUTE = 60  # changes of one person, in one web process
MOST_PEOPLE = 1000  # whose changes are remembered


class NotPossible(Exception):
    """Feedback that cannot be given, in a sentence for its reader."""


class TooMany(Exception):
    """Too many changes within a minute, in a sentence for their author."""


class _Limit:
    """Counts the changes of each person within the last minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[int, deque[float]] = {}

    def take(self, person: int) -> None:
        """Count a change. Raises TooMany."""
        now = time.monotonic()
        with self._lock:
            times = self._times.pop(person, deque())
            while times and times[0] < now - 60:
                times.popleft()
            self._times[person] = times  # the last of them
            while len(self._times) > MOST_PEOPLE:
                del self._times[next(iter(self._times))]
            if len(times) >= PER_MINUTE:
                raise TooMany(
                    f"That is more than {PER_MINUTE} changes of feedback in a minute. Wait a moment."
                )
            times.append(now)


limit = _Limit()


def give(owner: int, message_id: int, thumb: Thumb, words: str, *, attach: bool) -> Feedback:
    """Keep what the owner of a conversation says of a finished reply, in place of what was said before.

    `attach` shows the administrators the question and the reply as they are now. Raises Message.DoesNotExist for what is no
    reply of this owner, NotPossible and TooMany.
    """
    limit.take(owner)
    with transaction.atomic():
        reply = _reply(owner, message_id)
        if reply.status in OPEN:
            raise NotPossible(
                "This reply has not ended yet. Wait for its end, then say what you think of it."
            )
        if not reply.text.strip():
            raise NotPossible("No model has written anything here: there is nothing to say of it.")
        asked = reply.parent.text if attach and reply.parent else ""
        facts = {
            "model": reply.model,
            "thumb": thumb,
            "words": words,
            "question": asked,
            "answer": reply.text if attach else "",
            "changed_at": timezone.now(),
        }
        given, _ = Feedback.objects.update_or_create(message=reply, defaults=facts)
    _tell(reply, given)
    return given


def withdraw(owner: int, message_id: int) -> None:
    """Take feedback back for good; where there is none, nothing happens. Raises Message.DoesNotExist and TooMany."""
    limit.take(owner)
    with transaction.atomic():
        reply = _reply(owner, message_id)
        Feedback.objects.filter(message=reply).delete()
    _tell(reply, None)


def drop_exchanges(messages: Iterable[int] | QuerySet[Message, Any]) -> None:
    """Forget the questions and replies that were attached to feedback on these messages, which are to be deleted."""
    attached = Feedback.objects.filter(message__in=messages).exclude(answer="")
    attached.update(question="", answer="")


def in_words(given: Feedback) -> str:
    """Return a thumb and its words in a line."""
    label = given.get_thumb_display()
    return f"{label}, {given.words}" if given.words else label


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """How many replies of a model were found good or bad, how often with words, and with the exchange."""

    model: str
    up: int
    down: int
    with_words: int
    attached: int

    @property
    def good(self) -> int:
        """How many of a hundred were found good."""
        return round(100 * self.up / (self.up + self.down))


def counts(some: QuerySet[Feedback]) -> list[ModelCounts]:
    """Return the counts by model, those with most feedback first."""
    found = (
        some.order_by()
        .values("model")
        .annotate(
            up=Count("pk", filter=Q(thumb=Thumb.UP)),
            down=Count("pk", filter=Q(thumb=Thumb.DOWN)),
            with_words=Count("pk", filter=~Q(words="")),
            attached=Count("pk", filter=~Q(answer="")),
        )
    )
    lines = [ModelCounts(**row) for row in found]
    return sorted(lines, key=lambda line: (-line.up - line.down, line.model))


def _reply(owner: int, message_id: int) -> Message:
    """Return a reply of this owner, its conversation locked: deleting that must not be overtaken."""
    theirs = Conversation.objects.filter(owner_id=owner, deleted_at=None)
    where = Message.objects.filter(pk=message_id).values("conversation")
    if not theirs.select_for_update().filter(pk__in=where).first():
        raise Message.DoesNotExist
    return Message.objects.select_related("parent").get(pk=message_id, role=Role.ASSISTANT)


def _tell(reply: Message, given: Feedback | None) -> None:
    """Tell all pages of the conversation, of every web process, what is said of the reply now."""
    event: FeedbackEvent = {"type": "feedback", "id": reply.pk, "feedback": wire.feedback(given)}
    events.send("rooms", rooms=[str(reply.conversation_id)], texts=[orjson.dumps(event).decode()])
