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

import orjson
from django.db import connection, transaction
from django.utils import timezone

from chat import aliases, claims, prompts, queue, replies, wire
from chat.models import Message, Role, Status
from chat.page_schema import ChatEvent, MessageEvent
from chat.progress import ClaimedReply
from chat.replies import FrameRefused
from chat.send_locks import Place, key, lock
from models_admin import db_threads, process
from models_admin.servers import known
from models_admin.switching import admission, gate
from models_admin.switching.gate import Entered
from models_admin.switching.placement import Placement, Wish

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
class _Pair:
    """A message and its reply; `titled`: the message gave its conversation a title."""

    message: Message
    reply: Message
    titled: bool


def _together(sends: Sequence[Send], *, claiming: bool) -> Mapping[uuid.UUID, Sent | Exception]:
    """Write the messages that can be written together; return their outcomes and those of refused ones, by conversation."""
    found: dict[uuid.UUID, Sent | Exception] = {}
    begun: dict[int, dict[int, prompts.Turn]] = {}
    placed: dict[int, Entered] = {}
    with transaction.atomic():
        rows, places = lock([each.conversation for each in sends], [each.client_id for each in sends])
        pairs = _pairs(sends, places, found)
        if not pairs:
            return found
        if claiming and any(row.may_answer for row in rows):
            begun, servers = _startable(pairs, rows)
            placed = {
                pair.reply.pk: servers.place(_wish(pair, places)) for pair in pairs if pair.reply.pk in begun
            }
            claims.lease([pair.reply for pair in pairs if pair.reply.pk in begun], process.name(), placed)
        _insert([each for pair in pairs for each in (pair.message, pair.reply)])
        _set_heads(pairs)
    in_line = queue.places(pair.reply for pair in pairs)
    for pair in pairs:
        try:
            sent: Sent | Exception = _sent(pair, begun.get(pair.reply.pk), placed.get(pair.reply.pk), in_line)
        except Exception as error:  # noqa: BLE001 (the sender gets it; other messages are not affected)
            sent = error
        found[pair.message.conversation_id] = sent
    return found


def _wish(pair: _Pair, places: Mapping[uuid.UUID, Place]) -> Wish:
    if not known.several():
        return Wish()
    conversation = pair.reply.conversation
    return Wish(aliases.model_of(conversation), places[conversation.pk].near)


def _pairs(
    sends: Sequence[Send], places: Mapping[uuid.UUID, Place], refused: dict[uuid.UUID, Sent | Exception]
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


def _pair(send: Send, place: Place) -> _Pair:
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


def _startable(
    pairs: Sequence[_Pair], rows: Sequence[gate.Row]
) -> tuple[dict[int, dict[int, prompts.Turn]], Placement]:
    """Return the replies that may start at once, each with the turns of its conversation by message id; and the servers that
    may be given them: none where no reply may start.
    """
    entries = [
        admission.Entry(
            id=pair.reply.pk,
            person=pair.reply.conversation.owner_id,
            series=str(key(pair.reply.conversation_id)),
            origin=pair.reply.origin,
            since=pair.message.created_at,
        )
        for pair in pairs
    ]
    found = admission.startable(queue.KIND, process.name(), entries, prompts.said_before(), rows)
    (gates,) = [turn[-1] for reply, *turn in found if reply is None]
    begun: dict[int, dict[int, prompts.Turn]] = {}
    for reply, pk, parent, role, text in found:
        if reply is not None:
            said = begun.setdefault(reply, {})
            if pk is not None:
                said[pk] = (parent, role, text)
    for pair in pairs:
        for each in (pair.message, pair.reply):
            if pair.reply.pk in begun:
                begun[pair.reply.pk][each.pk] = (each.parent_id, each.role, each.text)
    return begun, Placement(rows, gate.passed(rows, orjson.loads(gates)) if begun else [])


# The same as bulk_create(), which takes most of the time by preparing what is the same in all of them anew for each.
OWN = ("id", "conversation_id", "parent_id", "role", "status", "revision", "client_id", "text", "model", "server", "origin",
       "claim", "lease", "created_at", "queued_at", "started_at")  # fmt: skip


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
        (pair.reply.pk, pair.reply.conversation.title, now, key(pair.reply.conversation_id)) for pair in pairs
    ]
    with connection.cursor() as cursor:
        cursor.executemany(SET_HEAD, rows)


def _sent(
    pair: _Pair, said: dict[int, prompts.Turn] | None, server: Entered | None, in_line: Mapping[int, int]
) -> Sent:
    """Return the outcome of a message. The event of a claimed reply is sent when it is begun."""
    events: list[ChatEvent] = []
    if pair.titled:
        events.append({"type": "conversation", "conversation": wire.conversation(pair.reply.conversation)})
    events.append(_shown(pair.message, None))
    if said is not None and server is not None:
        return Sent(events, replace(claims.work(pair.reply, server, said), asked=None))
    return Sent([*events, _shown(pair.reply, in_line.get(pair.reply.pk))])


def _shown(message: Message, position: int | None) -> MessageEvent:
    # It has no other version: nothing else stands behind the last one shown.
    return {"type": "message", "message": wire.shown(message, versions=[message.pk], position=position)}
