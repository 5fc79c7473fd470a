"""Writes what people send at the same moment in one transaction: messages, their replies, and claims.

It takes five statements, however many messages there are. What these do not cover is done by replies.send(), for one message
alone: a message that is there already, one in a conversation that somebody else is changing, and each of them where the
database refuses any. So nobody gets an error that is somebody else's.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from chat import claims, prompts, queue, replies, wire
from chat.models import Conversation, Message, Role, Status
from chat.page_schema import ChatEvent, MessageEvent
from chat.progress import ClaimedReply
from chat.replies import FrameRefused
from models_admin import db_threads, process
from models_admin.servers import known
from models_admin.switching import admission, gate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Send:
    """A message that somebody sends, behind the last one shown."""

    conversation: uuid.UUID
    client_id: uuid.UUID
    text: str
    at: datetime = field(default_factory=timezone.now)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was written: the events for pages, in this order, and its reply if that is claimed."""

    events: list[ChatEvent]
    work: ClaimedReply | None = None


def send(sends: Sequence[Send], *, claiming: bool) -> list[Sent | Exception]:
    """Write messages, no two of one conversation; return for each that it was written, or what refused it.

    They are durable when this returns. `claiming`: replies that may start are claimed for this process, which begins them.
    """
    try:
        together = _together(sends, claiming=claiming)
    except Exception as error:  # noqa: BLE001 (each is tried alone, which shows whose it is)
        if db_threads.away(error):
            return [error] * len(sends)
        log.info("Messages of %s people are written one by one: %s", len(sends), type(error).__name__)
        together = {}
    return [together.get(each.conversation) or _alone(each) for each in sends]


def _alone(send: Send) -> Sent | Exception:
    try:
        return Sent(replies.obey(replies.send, send.conversation, send.client_id, send.text)[1])
    except Exception as error:  # noqa: BLE001 (the sender gets it)
        return error


@dataclass(frozen=True, slots=True)
class _Place:
    """A locked conversation, how many replies its owner waits for, and two new ids for messages."""

    conversation: Conversation
    waiting: int
    ids: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A message and its reply; `titled`: the message gave its conversation a title."""

    message: Message
    reply: Message
    titled: bool


def _together(sends: Sequence[Send], *, claiming: bool) -> Mapping[uuid.UUID, Sent | Exception]:
    """Write the messages that can be written together; return their outcomes and those of refused ones, by conversation."""
    found: dict[uuid.UUID, Sent | Exception] = {}
    begun: dict[int, dict[int, prompts.Turn]] = {}
    with transaction.atomic():
        model, epoch, places = _lock(sends)
        pairs = _pairs(sends, places, found)
        if not pairs:
            return found
        if claiming and model:
            begun = _startable(pairs)
            started = [pair.reply for pair in pairs if pair.reply.pk in begun]
            claims.lease(started, process.name(), known.default(), model)
        _insert([each for pair in pairs for each in (pair.message, pair.reply)])
        _set_heads(pairs)
    in_line = queue.places(pair.reply for pair in pairs)
    for pair in pairs:
        try:
            sent: Sent | Exception = _sent(pair, begun.get(pair.reply.pk), epoch, in_line)
        except Exception as error:  # noqa: BLE001 (the sender gets it; other messages are not affected)
            sent = error
        found[pair.message.conversation_id] = sent
    return found


# A conversation that somebody else has locked is skipped: all others would have to wait, too.
LOCK = """
WITH server AS ({server})
SELECT server.model, server.epoch, server.unreachable_since, talk.id, {facts}, talk.head_id,
    COALESCE(waiting.replies, 0), {ids}
FROM server CROSS JOIN chat_conversation AS talk
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
LOCK_PARTS = {
    "sqlite": {
        "server": gate.LOCKED,
        "ids": "{last} + 2 * {row} - 1, {last} + 2 * {row}".format(
            last="COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'chat_message'), 0)",
            row="ROW_NUMBER() OVER (ORDER BY talk.id)",
        ),
        "locked": "",
    },
    "postgresql": {
        "server": f"{gate.LOCKED} FOR UPDATE",
        "ids": ", ".join(["nextval(pg_get_serial_sequence('chat_message', 'id'))"] * 2),
        "locked": "FOR UPDATE OF talk SKIP LOCKED",
    },
}


def _lock(sends: Sequence[Send]) -> tuple[str, int, dict[uuid.UUID, _Place]]:
    """Lock the server's row as the gate does, then the conversations that nobody else has locked.

    Return the model that may be asked ('': none), its epoch, and the conversations that a message may be added to.
    """
    marks, facts = ", ".join(["%s"] * len(sends)), ", ".join(f"talk.{each}" for each in FACTS)
    query = LOCK.format(marks=marks, facts=facts, **LOCK_PARTS[connection.vendor])
    keys = [*(each.conversation for each in sends), *(each.client_id for each in sends)]
    model, epoch = "", 0
    places: dict[uuid.UUID, _Place] = {}
    with connection.cursor() as cursor:
        cursor.execute(query, [known.default(), *map(_key, keys)])
        for loaded, epoch, away, pk, *columns, head, waiting, first, second in cursor.fetchall():  # noqa: B007
            model = loaded if away is None else ""
            own = dict(zip(FACTS, columns, strict=True))
            conversation = Conversation(id=uuid.UUID(str(pk)), head_id=head, **own)
            ids = min(first, second), max(first, second)
            if head is None or head < ids[0]:  # else somebody has added a message since the ids were taken
                places[conversation.pk] = _Place(conversation, waiting, ids)
    return model, epoch, places


def _key(given: uuid.UUID) -> Any:
    return Conversation._meta.pk.get_db_prep_value(given, connection)


def _pairs(
    sends: Sequence[Send], places: Mapping[uuid.UUID, _Place], refused: dict[uuid.UUID, Sent | Exception]
) -> list[_Pair]:
    """Return what is to be written, with ids; put what refuses a message into `refused`."""
    pairs: list[_Pair] = []
    added: Counter[int] = Counter()
    for send in sends:
        if (place := places.get(send.conversation)) is None:
            continue
        owner = place.conversation.owner_id
        try:
            replies.check_text(send.text, str(send.client_id))
            replies.check_waiting(place.waiting + added[owner], str(send.client_id))
        except FrameRefused as refusal:
            refused[send.conversation] = refusal
        else:
            added[owner] += 1
            pairs.append(_pair(send, place))
    return pairs


def _pair(send: Send, place: _Place) -> _Pair:
    conversation = place.conversation
    message = Message(
        id=place.ids[0],
        conversation=conversation,
        parent_id=conversation.head_id,
        role=Role.USER,
        status=Status.COMPLETE,
        text=send.text,
        client_id=send.client_id,
        created_at=send.at,
    )
    reply = Message(
        id=place.ids[1],
        conversation=conversation,
        parent=message,
        role=Role.ASSISTANT,
        status=Status.QUEUED,
        origin=process.name(),
        created_at=send.at,
        queued_at=send.at,
    )
    titled = not conversation.title
    conversation.title = conversation.title or replies.title_of(send.text)
    conversation.head_id = reply.pk
    return _Pair(message, reply, titled)


def _startable(pairs: Sequence[_Pair]) -> dict[int, dict[int, prompts.Turn]]:
    """Return the replies that may start at once, each with the turns of its conversation by message id."""
    entries = [
        admission.Entry(
            id=pair.reply.pk,
            person=pair.reply.conversation.owner_id,
            series=str(_key(pair.reply.conversation_id)),
            origin=pair.reply.origin,
            since=pair.message.created_at,
        )
        for pair in pairs
    ]
    history = prompts.said_before()
    begun: dict[int, dict[int, prompts.Turn]] = {}
    for reply, pk, *turn in admission.startable(
        queue.KIND, process.name(), entries, known.default(), history
    ):
        said = begun.setdefault(reply, {})
        if pk is not None:
            said[pk] = (turn[0], turn[1], turn[2])
    for pair in pairs:
        for each in (pair.message, pair.reply):
            if pair.reply.pk in begun:
                begun[pair.reply.pk][each.pk] = (each.parent_id, each.role, each.text)
    return begun


# The same as bulk_create(), which takes most of the time by preparing what is the same in all of them anew for each.
OWN = ("id", "conversation_id", "parent_id", "role", "status", "revision", "client_id", "text", "model", "origin", "claim",
       "lease", "created_at", "queued_at", "started_at")  # fmt: skip


def _insert(messages: Sequence[Message]) -> None:
    fields = {field.attname: field for field in Message._meta.concrete_fields}
    blank = {
        name: field.get_db_prep_save(getattr(messages[0], name), connection) for name, field in fields.items()
    }
    rows = [
        {**blank, **{name: fields[name].get_db_prep_save(getattr(each, name), connection) for name in OWN}}
        for each in messages
    ]
    columns = ", ".join(str(field.column) for field in fields.values())
    marks = ", ".join(["%s"] * len(fields))
    query = f"INSERT INTO chat_message ({columns}) VALUES {', '.join([f'({marks})'] * len(rows))}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [value for row in rows for value in row.values()])


SET_HEAD = "UPDATE chat_conversation SET head_id = %s, title = %s, updated_at = %s WHERE id = %s"


def _set_heads(pairs: Sequence[_Pair]) -> None:
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = [
        (pair.reply.pk, pair.reply.conversation.title, now, _key(pair.reply.conversation_id))
        for pair in pairs
    ]
    with connection.cursor() as cursor:
        cursor.executemany(SET_HEAD, rows)


def _sent(pair: _Pair, said: dict[int, prompts.Turn] | None, epoch: int, in_line: Mapping[int, int]) -> Sent:
    """Return the outcome of a message. The event of a claimed reply is sent when it is begun."""
    events: list[ChatEvent] = []
    if pair.titled:
        events.append({"type": "conversation", "conversation": wire.conversation(pair.reply.conversation)})
    events.append(_shown(pair.message, None))
    if said is not None:
        return Sent(events, replace(claims.work(pair.reply, epoch, said), asked=None))
    return Sent([*events, _shown(pair.reply, in_line.get(pair.reply.pk))])


def _shown(message: Message, position: int | None) -> MessageEvent:
    # It has no other version: nothing else stands behind the last one shown.
    return {"type": "message", "message": wire.shown(message, versions=[message.pk], position=position)}
