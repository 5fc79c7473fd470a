"""What processes do with replies: claim queued ones, save their growth, end them, put them back, take over from the dead.

A claim is one transaction behind the gate: the lease and the reply's new state stand or fall together. It is named by
a UUID, and whatever is written later is guarded by that name: a process that was frozen, and whose reply another one has
taken, changes no row.

    queued → streaming (claim) → complete | stopped | failed (end), or → queued (put_back, revive)
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from chat import queue, wire
from chat.models import Conversation, Message, Status
from models_admin import db_threads
from models_admin.models import Lease
from models_admin.switching import admission, gate

GIVE_UP_AFTER = 5  # attempts that failed
MOST_REVIVALS = 3  # that in a row brought no text
NEXT = F("revision") + 1
INTERNAL = "Gantry itself failed on this reply. The server's log says more; try again."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedReply:
    """A claimed reply: everything that is needed to generate it without another query.

    `row` is the reply, and `asked` the message that it answers, as wire.shown() says.
    """

    message: int
    conversation: uuid.UUID
    owner: int
    claim: uuid.UUID
    lease: int
    model: str
    epoch: int
    attempts: int
    revivals: int
    text: str
    reasoning: str
    reasoning_seconds: float | None
    prompt: list[dict[str, str]]
    params: dict[str, Any]
    row: dict[str, Any]
    asked: dict[str, Any] | None


@dataclass(slots=True)
class ReplyProgress:
    """What a reply has come to: written about once a second, and at the end with the rest."""

    text: str
    reasoning: str
    reasoning_seconds: float | None = None
    html: str = ""
    usage: dict[str, Any] | None = None
    finish_reason: str = ""
    error: str = ""
    error_kind: str = ""
    left_out: int = 0
    fields: tuple[str, ...] = field(default=("text", "reasoning", "reasoning_seconds"))

    def changes(self) -> dict[str, Any]:
        """The columns to write."""
        return {name: getattr(self, name) for name in self.fields}


ALL = (
    "text",
    "reasoning",
    "reasoning_seconds",
    "html",
    "usage",
    "finish_reason",
    "error",
    "error_kind",
    "left_out",
)


def claim(holder: str, room: int) -> list[ClaimedReply]:
    """Claim up to `room` replies for `holder`, first come, first served; [] when none may start. Raises gate.Closed."""
    with transaction.atomic():
        backend = gate.enter()
        ids = admission.claimable(queue.KIND, holder, room)
        found = Message.objects.select_related("conversation").in_bulk(ids)
        chosen = [found[pk] for pk in ids if pk in found]
        leases = gate.lease(holder, [f"{queue.KIND} {message.pk}" for message in chosen])
        _begin(chosen, leases, backend.model)
    try:
        return _works(chosen, backend.epoch)
    except Exception as error:
        if db_threads.away(error):
            raise
        return [work for message in chosen for work in _alone(message, backend.epoch)]


def _works(chosen: Sequence[Message], epoch: int) -> list[ClaimedReply]:
    prompts = _prompts(chosen)
    shown = {each for message in chosen for each in (message.pk, message.parent_id) if each is not None}
    rows = {row["id"]: row for row in wire.messages(shown)}
    return [_work(message, epoch, prompts[message.pk], rows) for message in chosen]


def _alone(message: Message, epoch: int) -> list[ClaimedReply]:
    """The work of one reply; none if that cannot be read: then it fails, and keeps no other from beginning."""
    try:
        return _works([message], epoch)
    except Exception as error:
        if db_threads.away(error):
            raise
        log.exception("Reply %s cannot be begun", message.pk)
        with transaction.atomic():
            gate.release([message.lease] if message.lease else [])
            _claimed(message.pk, message.claim).update(**_failed(INTERNAL, "internal"))
        return []


# The same as an update() for each, without a query to be built for each of the hundreds that a switch has kept waiting.
BEGUN = ("status", "claim", "lease", "started_at", "model", "handovers")
BEGIN = """
UPDATE chat_message
SET status = %s, claim = %s, lease = %s, started_at = %s, model = %s, handovers = %s, revision = revision + 1
WHERE id = %s AND status = %s
"""


def _begin(messages: Sequence[Message], leases: Sequence[Lease], model: str) -> None:
    now = timezone.now()
    for message, lease in zip(messages, leases, strict=True):
        message.status, message.claim, message.lease = Status.STREAMING, uuid.uuid4(), lease.pk
        message.started_at, message.model = message.started_at or now, model
        if message.handovers and message.handovers[-1]["model"] == model:
            del message.handovers[-1]  # cut, and continued by the same model: no change of hands
    fields = {field.name: field for field in Message._meta.concrete_fields}
    rows = [
        (
            *(fields[name].get_db_prep_save(getattr(message, name), connection) for name in BEGUN),
            message.pk,
            Status.QUEUED.value,
        )
        for message in sorted(messages, key=lambda each: each.pk)  # the order in which all lock them
    ]
    with connection.cursor() as cursor:
        cursor.executemany(BEGIN, rows)


def _work(
    message: Message, epoch: int, prompt: list[dict[str, str]], rows: dict[int, dict[str, Any]]
) -> ClaimedReply:
    conversation = message.conversation
    params: dict[str, Any] = {}
    if conversation.temperature is not None:
        params["temperature"] = conversation.temperature
    if conversation.max_tokens is not None:
        params["max_tokens"] = conversation.max_tokens
    assert message.claim is not None  # noqa: S101 (set a moment ago, in _begin)
    assert message.lease is not None  # noqa: S101
    return ClaimedReply(
        message=message.pk,
        conversation=conversation.pk,
        owner=conversation.owner_id,
        claim=message.claim,
        lease=message.lease,
        model=message.model,
        epoch=epoch,
        attempts=message.attempts,
        revivals=message.revivals,
        text=message.text,
        # Thoughts that were cut before a word of the answer came cannot be continued: they are thought again.
        reasoning=message.reasoning if message.text else "",
        reasoning_seconds=message.reasoning_seconds if message.text else None,
        prompt=prompt,
        params=params,
        row=rows[message.pk],
        asked=rows.get(message.parent_id or 0),
    )


def _prompts(replies: Sequence[Message]) -> dict[int, list[dict[str, str]]]:
    """The branch above each reply, oldest first, as TabbyAPI takes it."""
    conversations = {reply.conversation_id for reply in replies}
    rows = {
        pk: (parent, role, text)
        for pk, parent, role, text in Message.objects.filter(conversation__in=conversations).values_list(
            "pk", "parent_id", "role", "text"
        )
    }
    return {reply.pk: _branch(reply, rows) for reply in replies}


def _branch(message: Message, rows: Mapping[int, tuple[int | None, str, str]]) -> list[dict[str, str]]:
    turns: list[dict[str, str]] = []
    at = message.parent_id
    while at is not None and at in rows:
        parent, role, text = rows[at]
        if text:
            turns.append({"role": role, "content": text})
        at = parent
    if message.conversation.system_prompt:
        turns.append({"role": "system", "content": message.conversation.system_prompt})
    return turns[::-1]


def _held(work: ClaimedReply) -> QuerySet[Message]:
    return _claimed(work.message, work.claim)


def _claimed(message: int, claim: uuid.UUID | None) -> QuerySet[Message]:
    """The reply, while it streams under this claim: the guard of whatever is written about it."""
    return Message.objects.filter(pk=message, claim=claim, status=Status.STREAMING)


# The same as _held(work).update(text=…), without a query to be built for each of hundreds of replies in each second.
SAVE = """
UPDATE chat_message SET text = %s, reasoning = %s, reasoning_seconds = %s, revivals = %s
WHERE id = %s AND claim = %s AND status = %s
"""


def save(batch: Sequence[tuple[ClaimedReply, ReplyProgress]]) -> None:
    """Write how far replies have grown, all in one transaction."""
    claim = Message._meta.get_field("claim")
    rows = [
        (
            grown.text,
            grown.reasoning,
            grown.reasoning_seconds,
            _revivals(work, grown),
            work.message,
            claim.get_db_prep_value(work.claim, connection),
            Status.STREAMING.value,
        )
        for work, grown in sorted(batch, key=lambda each: each[0].message)  # the order in which all lock them
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(SAVE, rows)


def _revivals(work: ClaimedReply, grown: ReplyProgress) -> int:
    """How often the reply was revived since its text last grew. Thoughts alone are no progress: they are thought again."""
    return 0 if len(grown.text) > len(work.text) else work.revivals


def end(work: ClaimedReply, status: Status, grown: ReplyProgress) -> bool:
    """End a reply and its lease together; False if it is no longer this claim's to end."""
    grown.fields = ALL
    now = timezone.now()
    with transaction.atomic():
        # The conversation before its message, as whoever asks something of it locks them.
        Conversation.objects.filter(Exists(_held(work)), pk=work.conversation).update(updated_at=now)
        changed = _held(work).update(
            status=status, finished_at=now, lease=None, revision=NEXT, **grown.changes()
        )
        gate.release([work.lease])
    return changed == 1


def put_back(work: ClaimedReply, grown: ReplyProgress, holder: str, *, failed: bool) -> bool:
    """Put a reply back into the queue with what it has, to be gone on with; False if it is no longer this claim's.

    `failed` counts an attempt, and has it wait longer each time.
    """
    attempts = work.attempts + (1 if failed else 0)
    wait = timedelta(seconds=min(0.5 * 2**attempts, 10)) if failed else timedelta()
    with transaction.atomic():
        message = _held(work).select_related("conversation").first()
        gate.release([work.lease])
        if message is None:
            return False
        changes = {
            **grown.changes(),
            **_back_in_line(message, grown.text),
            "attempts": attempts,
            "revivals": _revivals(work, grown),
            "origin": holder,
            "not_before": timezone.now() + wait,
        }
        return _held(work).update(**changes) == 1


def refuse(work: ClaimedReply, error: str) -> bool:
    """Fail a reply that cannot be carried out or written, with what its row holds; False if it is not this claim's."""
    with transaction.atomic():
        gate.release([work.lease])
        return _held(work).update(**_failed(error, "internal")) == 1


def _failed(error: str, kind: str) -> dict[str, Any]:
    """The columns of a reply that ends in a failure of ours."""
    return {
        "status": Status.FAILED,
        "error": error,
        "error_kind": kind,
        "finished_at": timezone.now(),
        "lease": None,
        "revision": NEXT,
    }


def _back_in_line(message: Message, text: str) -> dict[str, Any]:
    """The columns of a reply that goes back: stopped instead, if its reader has asked for that."""
    if message.stop_requested is not None:
        return {"status": Status.STOPPED, "finished_at": timezone.now(), "lease": None, "revision": NEXT}
    begun = {"model": message.model, "upto": len(text)}
    handovers = [*message.handovers, begun] if text else message.handovers
    return {
        "status": Status.QUEUED,
        "lease": None,
        "queued_at": timezone.now(),
        "handovers": handovers,
        "revision": NEXT,
    }


def revive() -> list[tuple[int, uuid.UUID]]:
    """Put back the replies whose process died, for any other to take. Return (message, conversation) of each.

    One under which processes die or freeze again and again, with no text from any, fails: it may be what stops them.
    """
    gate.remaining()
    lost = Message.objects.filter(status=Status.STREAMING).filter(
        ~Exists(Lease.objects.filter(pk=OuterRef("lease")))
    )
    if not lost.exists():
        return []
    revived: list[tuple[int, uuid.UUID]] = []
    with transaction.atomic():
        for message in lost.order_by("id"):
            changes = _after_death(message)
            if _claimed(message.pk, message.claim).update(**changes, origin=""):
                revived.append((message.pk, message.conversation_id))
    return revived


def _after_death(message: Message) -> dict[str, Any]:
    """The columns of a reply whose process is gone."""
    if message.revivals < MOST_REVIVALS or message.stop_requested is not None:
        return {**_back_in_line(message, message.text), "revivals": message.revivals + 1}
    return _failed(
        f"The reply was begun {MOST_REVIVALS + 1} times, and each time the process that wrote it stopped or froze before "
        "more text came. It is not begun again by itself. Try again, or word the message differently.",
        "revived",
    )
