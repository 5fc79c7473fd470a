"""What a model is given to answer: the branch above a reply, as TabbyAPI takes it, the oldest turn first."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.db import connection

from chat.models import Message
from models_admin import statements

Turn = tuple[int | None, str, str]  # the message that it answers, its role, its text
Said = Mapping[int, Turn]  # all of a conversation, by the ids of its messages


def said(conversations: Iterable[uuid.UUID]) -> Mapping[uuid.UUID, Said]:
    """What has been said in each of the conversations, without comparisons, which are no versions."""
    found: dict[uuid.UUID, dict[int, Turn]] = defaultdict(dict)
    rows = Message.objects.filter(conversation__in=set(conversations), compared_with=None)
    for conversation, pk, parent, role, text in rows.values_list(
        "conversation_id", "pk", "parent_id", "role", "text"
    ):
        found[conversation][pk] = (parent, role, text)
    return found


SAID_BEFORE = """
SELECT chosen.id, message.id, message.parent_id, message.role, message.text FROM ({{chosen}}) AS chosen
LEFT JOIN chat_message AS message ON message.conversation_id = CAST(chosen.series AS {key})
UNION ALL SELECT NULL, NULL, NULL, NULL, {found} FROM ({{gates}}) AS gate
"""


def said_before() -> str:
    """What has been said in the conversations of replies that are chosen, and in a row without a reply all gates as JSON: a
    query for admission.startable().
    """
    key = "uuid" if connection.vendor == "postgresql" else "text"
    return SAID_BEFORE.format(key=key, found=statements.as_text("gate.id, gate.gated, gate.held"))


def above(reply: Message, said: Said, default: str = "") -> list[dict[str, str]]:
    """The prompt for a reply; `default`: the system prompt of a conversation without its own."""
    turns: list[dict[str, str]] = []
    at = reply.parent_id
    while at is not None and at in said:
        parent, role, text = said[at]
        if text:
            turns.append({"role": role, "content": text})
        at = parent
    if system := reply.conversation.system_prompt or default:
        turns.append({"role": "system", "content": system})
    return turns[::-1]


def versions(message: Message, said: Said) -> list[int]:
    """The messages with the same parent as this one, itself included, oldest first."""
    return sorted(pk for pk, (parent, *_) in said.items() if parent == message.parent_id)


def without_oldest(prompt: list[dict[str, str]]) -> list[dict[str, str]] | None:
    """`prompt` without its oldest turns (a quarter of them, at least one person's and its reply); None if none can go."""
    system = prompt[:1] if prompt and prompt[0]["role"] == "system" else []
    turns = prompt[len(system) :]
    drop = max(2, len(turns) // 4)
    while drop < len(turns) and turns[drop]["role"] != "user":
        drop += 1
    return [*system, *turns[drop:]] if drop < len(turns) else None
