"""Locks what messages that are sent together need: the servers' rows, as their gates do, and the conversations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from chat.models import Conversation
from models_admin import statements
from models_admin.servers import known
from models_admin.switching import gate


@dataclass(frozen=True, slots=True)
class Place:
    """A locked conversation, the server of its last reply, how many its owner waits for, and two new ids for messages."""

    conversation: Conversation
    near: int | None
    waiting: int
    ids: tuple[int, int]


# A conversation that somebody else has locked is skipped: all others would have to wait, too.
LOCK = """
WITH server AS ({server})
SELECT (SELECT {servers} FROM server), talk.id, {facts}, talk.head_id, head.server, COALESCE(waiting.replies, 0), {ids}
FROM chat_conversation AS talk LEFT JOIN chat_message AS head ON head.id = talk.head_id
LEFT JOIN (
    SELECT theirs.owner_id, COUNT(*) AS replies FROM chat_message AS reply
    JOIN chat_conversation AS theirs ON theirs.id = reply.conversation_id
    WHERE reply.status = 'queued' GROUP BY theirs.owner_id
) AS waiting ON waiting.owner_id = talk.owner_id
WHERE talk.id IN ({marks}) AND NOT EXISTS (
    SELECT 1 FROM chat_message AS sent WHERE sent.conversation_id = talk.id AND sent.client_id IN ({marks})
)
ORDER BY talk.id {locked}
"""
FACTS = ("owner_id", "title", "alias", "system_prompt", "temperature", "max_tokens")
COLUMNS = ", ".join(f"server.{each}" for each in gate.COLUMNS)
LOCK_PARTS = {
    "sqlite": {
        "ids": "{last} + 2 * {row} - 1, {last} + 2 * {row}".format(
            last="COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'chat_message'), 0)",
            row="ROW_NUMBER() OVER (ORDER BY talk.id)",
        ),
        "locked": "",
    },
    "postgresql": {
        "ids": ", ".join(["nextval(pg_get_serial_sequence('chat_message', 'id'))"] * 2),
        "locked": "FOR UPDATE OF talk SKIP LOCKED",
    },
}


def lock(
    conversations: Sequence[uuid.UUID], client_ids: Sequence[uuid.UUID]
) -> tuple[list[gate.Row], dict[uuid.UUID, Place]]:
    """Lock the servers' rows as the gate does, then the conversations that nobody else has locked.

    A message that has one of the `client_ids` already keeps its conversation away. Return the rows, and the places of the
    conversations that a message may be added to.
    """
    marks, facts = statements.marks(len(conversations)), ", ".join(f"talk.{each}" for each in FACTS)
    server, params = gate.locked(known.all_servers())
    query = LOCK.format(
        server=f"{server} {statements.for_update()}",
        servers=statements.as_text(COLUMNS),
        marks=marks,
        facts=facts,
        **LOCK_PARTS[connection.vendor],
    )
    rows, places = list[gate.Row](), dict[uuid.UUID, Place]()
    found = statements.fetch(query, [*params, *map(key, conversations), *map(key, client_ids)])
    if found:
        rows = [gate.Row(*each) for each in orjson.loads(found[0][0] or "[]")]
    for _, pk, *columns, head, near, waiting, first, second in found:
        own = dict(zip(FACTS, columns, strict=True))
        conversation = Conversation(id=uuid.UUID(str(pk)), head_id=head, **own)
        ids = min(first, second), max(first, second)
        if head is None or head < ids[0]:  # else somebody has added a message since the ids were taken
            places[conversation.pk] = Place(conversation, near, waiting, ids)
    return rows, places


def key(given: uuid.UUID) -> Any:
    return Conversation._meta.pk.get_db_prep_value(given, connection)
