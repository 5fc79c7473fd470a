"""A claimed reply, and what is written of it: its growth, its end, its way back into line, also from a dead process.

A claim is named by a UUID, and whatever is written under it is guarded by that name: a process that was frozen, and whose
reply another one has taken, changes no row.

    streaming → complete | stopped | failed (end, refuse), or → queued (put_back, revive)
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from chat import page_schema
from chat.models import Conversation, Message, Status
from models_admin.models import Lease, UsageOutcome
from models_admin.servers import known
from models_admin.switching import gate
from models_admin.usage.meter import Measured
from models_admin.usage.recording import CHAT, ReplyUsage, record

GIVE_UP_AFTER = 5  # attempts that failed
MOST_REVIVALS = 3  # that in a row brought no text
NEXT = F("revision") + 1
NOTHING = Measured()
RECORDED = {"spent_prompt": 0, "spent_completion": 0}  # what a usage row has
INTERNAL = "Gantry itself failed on this reply. The server's log says more; try again."


@dataclass(frozen=True, slots=True)
class ClaimedReply:
    """A claimed reply: everything that is needed to generate it without another query.

    `row` is the reply, and `asked` the message that it answers, as wire.shown() says. `waited`: seconds in line.
    """

    message: int
    conversation: uuid.UUID
    owner: int
    claim: uuid.UUID
    lease: int
    model: str
    server: int
    epoch: int
    attempts: int
    revivals: int
    spent: tuple[int, int]  # by earlier parts
    text: str
    reasoning: str
    reasoning_seconds: float | None
    prompt: list[dict[str, str]]
    params: dict[str, Any]
    waited: float
    row: page_schema.Message
    asked: page_schema.Message | None


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
    measured: Measured = NOTHING
    fields: tuple[str, ...] = field(default=("text", "reasoning", "reasoning_seconds"))

    def changes(self) -> dict[str, Any]:
        """The columns to write."""
        own = {name: getattr(self, name) for name in self.fields}
        return {**own, "spent_prompt": self.measured.prompt, "spent_completion": self.measured.completion}


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


def _held(work: ClaimedReply) -> QuerySet[Message]:
    return claimed(work.message, work.claim)


def claimed(message: int, claim: uuid.UUID | None) -> QuerySet[Message]:
    """The reply, while it streams under this claim: the guard of whatever is written about it."""
    return Message.objects.filter(pk=message, claim=claim, status=Status.STREAMING)


# The same as _held(work).update(text=…), without a query to be built for each of hundreds of replies in each second.
SAVE = """
UPDATE chat_message SET text = %s, reasoning = %s, reasoning_seconds = %s, revivals = %s,
    spent_prompt = %s, spent_completion = %s
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
            grown.measured.prompt,
            grown.measured.completion,
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
            status=status, finished_at=now, lease=None, revision=NEXT, **{**grown.changes(), **RECORDED}
        )
        gate.release([work.lease])
        # Where the row has another claim, whoever has that records the parts; where it is gone, nobody else does.
        if changed or not Message.objects.filter(pk=work.message).exists():
            record([_usage(work, status, grown.measured, grown.error_kind)])
    return changed == 1


def _usage(work: ClaimedReply, status: Status, measured: Measured, reason: str) -> ReplyUsage:
    why = reason if status == Status.FAILED else ""
    return ReplyUsage(
        *(work.owner, 0, work.model, CHAT, UsageOutcome(status.value), measured),
        reason=why,
        taken_over=bool(work.row["handovers"]),
    )


def take_left(message: Message, status: Status, reason: str = "") -> list[ReplyUsage]:
    """Take out of a reply's row what it took before, where it has ended in line, or without the process that wrote it.

    `reason`: why it failed, if it has. Returns what is to be recorded in this transaction, after all that locks messages.
    """
    measured = Measured(message.spent_prompt, message.spent_completion)
    if status == Status.QUEUED or (status == Status.STOPPED and measured == NOTHING):
        return []
    Message.objects.filter(pk=message.pk).update(**RECORDED)
    owner, outcome = message.conversation.owner_id, UsageOutcome(status.value)
    return [ReplyUsage(owner, 0, message.model, CHAT, outcome, measured, reason=reason)]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A claimed reply that goes back into line; `failed` counts an attempt, and has it wait longer each time."""

    work: ClaimedReply
    grown: ReplyProgress
    failed: bool


def put_back(batch: Sequence[Unfinished], holder: str) -> list[bool]:
    """Put replies back into the queue with what they have, to be gone on with, all in one transaction.

    Return for each whether it was still this claim's to put back.
    """
    kept: list[bool] = []
    ended: list[ReplyUsage] = []
    with transaction.atomic():
        found = _locked([each.work.message for each in batch])
        gate.release([each.work.lease for each in batch])
        for each in batch:
            message = found.get(each.work.message)
            changes = _returned(each, message, holder) if message else {}
            kept.append(message is not None and _held(each.work).update(**changes) == 1)
            if message is not None and kept[-1]:
                measured = each.grown.measured
                message.spent_prompt, message.spent_completion = measured.prompt, measured.completion
                ended += take_left(message, changes["status"])
        record(ended)
    return kept


def _locked(messages: Sequence[int]) -> dict[int, Message]:
    """Lock replies until the transaction ends, so that nobody asks one in vain to stop; return what _returned() needs.

    As an UPDATE does (`no_key`): whoever adds a message behind one of them, with all admissions behind him, need not wait.
    """
    rows = Message.objects.filter(pk__in=messages).order_by("pk")
    rows = rows.select_for_update(of=("self",), no_key=True)
    needed = ("model", "handovers", "stop_requested", "conversation__owner")
    return {row.pk: row for row in rows.select_related("conversation").only(*needed)}


def _returned(one: Unfinished, message: Message, holder: str) -> dict[str, Any]:
    """The columns of a reply that goes back into line by its own process."""
    work, grown = one.work, one.grown
    attempts = work.attempts + (1 if one.failed else 0)
    wait = timedelta(seconds=min(0.5 * 2**attempts, 10)) if one.failed else timedelta()
    return {
        **grown.changes(),
        **_back_in_line(message, grown.text),
        "attempts": attempts,
        "revivals": _revivals(work, grown),
        "origin": holder,
        "not_before": timezone.now() + wait,
    }


def refuse(work: ClaimedReply, error: str, measured: Measured) -> bool:
    """Fail a reply that cannot be carried out or written, with what its row holds; False if it is not this claim's."""
    with transaction.atomic():
        gate.release([work.lease])
        if _held(work).update(**{**failed(error, "internal"), **RECORDED}) != 1:
            return False
        record([_usage(work, Status.FAILED, measured, "internal")])
    return True


def failed(error: str, kind: str) -> dict[str, Any]:
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
    if not Lease.objects.exists() and not Message.objects.filter(status=Status.STREAMING).exists():
        return []
    for server in known.all_servers():
        gate.remaining(server)
    lost = Message.objects.filter(status=Status.STREAMING).filter(
        ~Exists(Lease.objects.filter(pk=OuterRef("lease")))
    )
    if not lost.exists():
        return []
    revived: list[tuple[int, uuid.UUID]] = []
    ended: list[ReplyUsage] = []
    with transaction.atomic():
        for message in lost.select_related("conversation").order_by("id"):
            changes = _after_death(message)
            if claimed(message.pk, message.claim).update(**changes, origin=""):
                ended += take_left(message, changes["status"], changes.get("error_kind", ""))
                revived.append((message.pk, message.conversation_id))
        record(ended)
    return revived


def _after_death(message: Message) -> dict[str, Any]:
    """The columns of a reply whose process is gone."""
    if message.revivals < MOST_REVIVALS or message.stop_requested is not None:
        return {**_back_in_line(message, message.text), "revivals": message.revivals + 1}
    return failed(
        f"The reply was begun {MOST_REVIVALS + 1} times, and each time the process that wrote it stopped or froze before "
        "more text came. It is not begun again by itself. Try again, or word the message differently.",
        "revived",
    )


def to_stop(messages: list[int]) -> list[int]:
    """Those whose reader has asked for that, or whose row is gone: nobody will ever read them."""
    wanted = Message.objects.filter(pk__in=messages, stop_requested=None)
    return list(set(messages).difference(wanted.values_list("pk", flat=True)))
