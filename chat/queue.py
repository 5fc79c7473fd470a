"""The chat's open replies as entries of admission, where they wait together with those of other applications."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from chat.models import Message, Role, Status
from models_admin.switching import admission

KIND = "reply"
# A reply that was put back keeps its place. One that was continued has one of its own from then on, and so has a comparison,
# which no other reply of its conversation waits for.
ENTRIES = """
SELECT message.id, conversation.owner_id AS person,
    CASE WHEN message.compared_with_id IS NULL THEN CAST(message.conversation_id AS text)
        ELSE 'comparison ' || CAST(message.id AS text) END AS series,
    CASE message.status WHEN 'streaming' THEN 1 ELSE 0 END AS running, message.origin, message.queued_at,
    message.not_before, COALESCE(message.continued_at, message.created_at) AS in_line_since
FROM chat_message AS message JOIN chat_conversation AS conversation ON conversation.id = message.conversation_id
WHERE message.status IN ('queued', 'streaming')
"""


def waiting() -> QuerySet[Message]:
    """Return all replies that wait."""
    return Message.objects.filter(status=Status.QUEUED, role=Role.ASSISTANT)


def places(messages: Iterable[Message]) -> dict[int, int]:
    """Return {id: place} (1: the next) of those of the messages that are queued."""
    return admission.places(KIND, [each.pk for each in messages if each.status == Status.QUEUED])


def _last_end() -> datetime | None:
    ended = Message.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    return ended.values_list("finished_at", flat=True).first()


provider = admission.Provider(KIND, ENTRIES, _last_end)
