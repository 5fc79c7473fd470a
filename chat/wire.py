"""Messages and conversations as pages are sent them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import cast

from django.db.models import Q
from django.utils import timezone

from chat import page_schema, queue
from chat.models import OPEN, Better, Conversation, Feedback, Message, Role, Status, Thumb, Verdict
from chat.rendering import Blocks
from models_admin.tabby.wire import Usage

SHOWN = 200  # messages of a branch that a page is given at first
BESIDE = ("feedback", "verdict")  # read together with a message
WAITING = (Status.AWAITING, Status.QUEUED)


def shown(
    message: Message,
    *,
    versions: list[int],
    position: int | None,
    given: Feedback | None = None,
    verdict: Verdict | None = None,
) -> page_schema.Message:
    """Return the whole row as pages are sent it.

    `versions`: the ids of the versions with the same parent, oldest first; a comparison is none, and its own only one.
    `position`: the place in the queue, if it waits.
    `given`: its reader's feedback. `verdict`: what the reader says of a comparison and its reply.
    """
    html, upto = _html(message)
    versions = versions if message.compared_with_id is None else [message.pk]
    return {
        "id": message.pk,
        "revision": message.revision,
        "client_id": str(message.client_id) if message.client_id else None,
        "parent": message.parent_id,
        "role": Role(message.role),
        "status": Status(message.status),
        "text": message.text,
        "html": html,
        "upto": upto,
        "reasoning": message.reasoning,
        "reasoning_seconds": message.reasoning_seconds,
        "model": message.model,
        "handovers": message.handovers,
        "queue_position": position,
        "usage": usage(message.usage),
        "finish_reason": message.finish_reason,
        "continuable": message.continuable,
        "left_out": message.left_out,
        "error": message.error,
        "error_kind": message.error_kind,
        "created_at": message.created_at.isoformat(),
        "versions": {"index": versions.index(message.pk) + 1, "count": len(versions), "ids": versions},
        "feedback": feedback(given),
        "compared_with": message.compared_with_id,
        "better": Better(verdict.better) if verdict else None,
    }


def feedback(given: Feedback | None) -> page_schema.Feedback | None:
    """Return feedback as pages are sent it."""
    if given is None:
        return None
    return {"thumb": Thumb(given.thumb), "words": given.words, "attached": bool(given.answer)}


def _said_of(row: Message) -> tuple[Feedback | None, Verdict | None]:
    """Return the feedback and the verdict of a row that were read together with it; None for each that is not there."""
    return getattr(row, "feedback", None), getattr(row, "verdict", None)


def usage(kept: object) -> page_schema.Usage | None:
    """Return a reply's usage from its row, each value bounded; None where there is none."""
    return cast("page_schema.Usage", Usage.read(kept).as_dict()) if isinstance(kept, dict) else None


def _html(message: Message) -> tuple[str, int]:
    """Return a reply's HTML, and how many characters of its text it covers; a person's message is shown as it was typed."""
    if message.role != Role.ASSISTANT or not message.text:
        return "", 0
    if message.html:
        return message.html, len(message.text)
    blocks = Blocks()
    blocks.feed(message.text)
    if message.status not in OPEN:
        blocks.close()
    return blocks.html, blocks.upto


def conversation(row: Conversation) -> page_schema.Conversation:
    """Return what the page shows of a conversation itself."""
    return {
        "id": str(row.pk),
        "title": str(row),
        "alias": row.alias,
        "system_prompt": row.system_prompt,
        "temperature": row.temperature,
        "max_tokens": row.max_tokens,
    }


def conversation_by_id(conversation_id: uuid.UUID) -> page_schema.Conversation:
    """Return conversation() for the row of that id."""
    return conversation(Conversation.objects.get(pk=conversation_id))


def messages(ids: Iterable[int], within: uuid.UUID | None = None) -> list[page_schema.Message]:
    """Return the given messages, in the order of their ids; only those of the conversation `within`, if given."""
    found = Message.objects.filter(pk__in=list(ids)).select_related(*BESIDE).order_by("id")
    rows = list(found if within is None else found.filter(conversation=within))
    siblings, places = _siblings(rows), queue.places(rows)
    return [_shown(row, siblings[row.conversation_id, row.parent_id], places) for row in rows]


def _shown(row: Message, versions: list[int], places: Mapping[int, int]) -> page_schema.Message:
    """Return shown() of a row that was read together with BESIDE."""
    given, verdict = _said_of(row)
    return shown(row, versions=versions, position=places.get(row.pk), given=given, verdict=verdict)


def _siblings(rows: list[Message]) -> dict[tuple[uuid.UUID, int | None], list[int]]:
    """Return {(conversation, parent): ids} of the versions that the rows are of, oldest first."""
    first = {row.conversation_id for row in rows if row.parent_id is None}
    parents = {row.parent_id for row in rows if row.parent_id is not None}
    found: dict[tuple[uuid.UUID, int | None], list[int]] = defaultdict(list)
    beside = Q(parent__in=parents) | Q(parent=None, conversation__in=first)
    versions = Message.objects.filter(beside, compared_with=None).order_by("id")
    every = versions.values_list("conversation_id", "parent_id", "pk")
    for conversation_id, parent, pk in every:
        found[conversation_id, parent].append(pk)
    return found


def changed_lately(conversations: list[uuid.UUID]) -> list[tuple[uuid.UUID, int, int, int]]:
    """Return (conversation, parent, message, revision) of the replies that ended or were put back within a minute."""
    since = timezone.now() - timedelta(minutes=1)
    moved = Q(finished_at__gt=since) | Q(status__in=WAITING, queued_at__gt=since)
    every = Message.objects.filter(moved, role=Role.ASSISTANT)
    if not every.exists():  # a thousand conversations take Django ten times as long to ask for
        return []
    found = every.filter(conversation__in=conversations)
    return list(found.values_list("conversation_id", "parent_id", "pk", "revision"))


def branch(conversation_id: uuid.UUID) -> page_schema.Branch:
    """Return a conversation and the last messages of its shown branch, behind them what these are compared with."""
    row = Conversation.objects.get(pk=conversation_id)
    parents = dict(row.messages.filter(compared_with=None).order_by("id").values_list("pk", "parent_id"))
    children: dict[int | None, list[int]] = defaultdict(list)
    for pk, parent in parents.items():
        children[parent].append(pk)
    path: list[int] = []
    at = row.head_id
    while at is not None and at in parents:
        path.append(at)
        at = parents[at]
    last = path[:SHOWN]
    found = Message.objects.filter(Q(pk__in=last) | Q(compared_with__in=last)).select_related(*BESIDE)
    rows = {each.pk: each for each in found.order_by("id")}
    places = queue.places(rows.values())
    order = [*reversed(last), *(pk for pk, each in rows.items() if each.compared_with_id is not None)]
    return {
        "conversation": conversation(row),
        "messages": [_shown(rows[pk], children[rows[pk].parent_id], places) for pk in order if pk in rows],
        "earlier": len(path) > SHOWN,
    }
