"""Comparing: the same message is answered by another model than before, and its reader says which reply is the better one.

A comparison is a reply with `compared_with`. Its parent is that of the reply beside which it stands, but it is no version of
that: no branch leads through it, nothing answers it, and no other reply of its conversation waits for it.

    awaiting ⇄ queued → streaming → complete | stopped | failed

It is *awaiting*, and stands in no line, until a server is ready with another model than the reply's. Where that has gone
again when its turn comes, it is set aside. It is all of one model: what another one has begun is begun anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from chat import replies
from chat.models import OPEN, Better, Message, Role, Status, Verdict
from chat.replies import AFRESH, Done, FrameRefused
from models_admin.switching import placement
from models_admin.switching.gate import Entered
from models_admin.switching.placement import Placement

MOST_OPEN = 5  # of one person
AT_ONCE = 100  # brought into line in one transaction


def ask(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Have a reply's message answered by another model, as soon as one is ready.

    Where that was asked for already, nothing changes; a comparison that failed or was stopped is asked for once more.
    """
    now = timezone.now()
    with transaction.atomic():
        conversation = replies.locked(conversation_id)
        reply = replies.own(conversation, message_id, Role.ASSISTANT)
        if reply.status in OPEN or not reply.text.strip() or not reply.model:
            raise FrameRefused(
                "not_ended", "There is no finished reply to compare with yet. Wait for its end."
            )
        there = conversation.messages.filter(compared_with=reply).first()
        if there is not None and there.status not in (Status.STOPPED, Status.FAILED):
            return Done([there.pk])
        theirs = Message.objects.filter(conversation__owner_id=conversation.owner_id, status__in=OPEN)
        if theirs.exclude(compared_with=None).count() >= MOST_OPEN:
            raise FrameRefused(
                "too_many", f"{MOST_OPEN} comparisons are waiting already. Cancel one, or wait for its reply."
            )
        facts = {"status": Status.AWAITING, "queued_at": now, "origin": ""}
        if there is None:
            there = conversation.messages.create(
                role=Role.ASSISTANT, parent_id=reply.parent_id, compared_with=reply, **facts
            )
        else:
            Verdict.objects.filter(message=there).delete()
            changes = {**AFRESH, **_unwritten(), **facts, "model": "", "revision": F("revision") + 1}
            Message.objects.filter(pk=there.pk).update(**changes)
    return Done([there.pk])


def judge(conversation_id: uuid.UUID, message_id: int, better: Better | None) -> Done:
    """Keep which is the better one, a finished comparison or its reply; None takes that back."""
    with transaction.atomic():
        comparison = _finished(conversation_id, message_id)
        first = comparison.compared_with
        if better is None or first is None:
            Verdict.objects.filter(message=comparison).delete()
        else:
            facts = {"first": first.model, "second": comparison.model, "better": better}
            Verdict.objects.update_or_create(
                message=comparison, defaults={**facts, "changed_at": timezone.now()}
            )
    return Done([comparison.pk])


def keep(conversation_id: uuid.UUID, message_id: int) -> Done:
    """Make a finished comparison a version like others, and show the branch that ends with it."""
    with transaction.atomic():
        comparison = _finished(conversation_id, message_id)
        Message.objects.filter(pk=comparison.pk).update(compared_with=None, revision=F("revision") + 1)
        return replies.select(conversation_id, comparison.pk)


def _finished(conversation_id: uuid.UUID, message_id: int) -> Message:
    conversation = replies.locked(conversation_id)
    comparison = replies.own(conversation, message_id, Role.ASSISTANT, beside=True)
    if comparison.compared_with_id is None:
        raise FrameRefused("not_compared", "This reply is not compared with another one. Reload the page.")
    if comparison.status in OPEN or not comparison.text.strip():
        raise FrameRefused("not_ended", "The other reply is not there yet. Wait for its end.")
    return comparison


def bring_in_line() -> list[tuple[int, uuid.UUID]]:
    """Queue comparisons for which a server is ready, AT_ONCE at most. Return (message, conversation) of each.

    Their places in line are from now on: what people have asked before comes first.
    """
    awaiting = Message.objects.filter(status=Status.AWAITING)
    if not awaiting.exists():
        return []
    ready = placement.models()
    if not ready:
        return []
    if len(ready) == 1:
        awaiting = awaiting.exclude(compared_with__model=ready.pop())
    now = timezone.now()
    with transaction.atomic():
        locked = awaiting.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
        brought = list(locked.values_list("pk", "conversation_id")[:AT_ONCE])
        some = Message.objects.filter(pk__in=[pk for pk, _ in brought], status=Status.AWAITING)
        some.update(status=Status.QUEUED, queued_at=now, continued_at=now, revision=F("revision") + 1)
    return brought


def place(comparison: Message, servers: Placement) -> Entered | None:
    """Return the server that writes a comparison whose turn it is; None where none runs another model than the reply's.

    To be called like Placement.place(). What another model than the server's has begun is taken away.
    """
    server = servers.place_without(comparison.compared_with.model if comparison.compared_with else "")
    if server is not None and comparison.text and comparison.model != server.model:
        Message.objects.filter(pk=comparison.pk, status=Status.QUEUED).update(**_unwritten())
        for name, value in _unwritten().items():
            setattr(comparison, name, value)
    return server


def _unwritten() -> dict[str, Any]:
    """The columns of a reply of which nothing is written."""
    return {"text": "", "reasoning": "", "reasoning_seconds": None, "handovers": []}


def set_aside(comparisons: Iterable[Message]) -> None:
    """Take comparisons out of the line until another model is ready."""
    changes = {"status": Status.AWAITING, "queued_at": timezone.now(), "revision": F("revision") + 1}
    pks = [each.pk for each in comparisons]
    if pks:
        Message.objects.filter(pk__in=pks, status=Status.QUEUED).update(**changes)
