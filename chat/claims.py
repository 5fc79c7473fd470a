"""How a process comes by replies to write: it claims queued ones, with all that is needed to generate them.

A claim is one transaction behind the gate: the lease and the reply's new state stand or fall together. progress.py has what
is written of a reply from then on.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from chat import aliases, comparing, page_schema, progress, prompts, queue, wire
from chat.models import Message, Status
from chat.progress import ClaimedReply
from models_admin import db_threads
from models_admin.servers import known
from models_admin.switching import admission, gate, placement
from models_admin.switching.gate import Entered
from models_admin.switching.placement import Placement, Wish
from models_admin.usage.recording import record

log = logging.getLogger(__name__)


def claim(holder: str, room: int) -> list[ClaimedReply]:
    """Claim up to `room` replies for `holder`, first come, first served; [] when none may start. Raises gate.Closed.

    Comparisons for which there is no model any more are set aside.
    """
    with transaction.atomic():
        servers = placement.enter()
        ids = admission.claimable(queue.KIND, holder, room)
        before = ("parent__parent",) if known.several() else ()
        found = Message.objects.select_related("conversation", "parent", *before).in_bulk(ids)
        chosen = [found[pk] for pk in ids if pk in found]
        places = {message.pk: _place(message, servers) for message in chosen}
        comparing.set_aside(message for message in chosen if places[message.pk] is None)
        placed = {pk: server for pk, server in places.items() if server is not None}
        begun = [message for message in chosen if message.pk in placed]
        lease(begun, holder, placed)
        begun = _begin(begun)
    try:
        said = prompts.said(message.conversation_id for message in begun)
        return [work(message, placed[message.pk], said[message.conversation_id]) for message in begun]
    except Exception as error:
        if db_threads.away(error):
            raise
        return [each for message in begun for each in alone(message, placed[message.pk])]


def _place(message: Message, servers: Placement) -> Entered | None:
    if message.compared_with_id is not None:
        return comparing.place(message, servers)
    return servers.place(_wish(message))


def _wish(message: Message) -> Wish:
    """What a reply is to be written with: its conversation's model, and the server of what it has, or of the last reply."""
    if not known.several():
        return Wish()
    near = message.server
    if near is None and message.parent is not None and message.parent.parent is not None:
        near = message.parent.parent.server
    return Wish(aliases.model_of(message.conversation), near)


def alone(message: Message, server: Entered) -> list[ClaimedReply]:
    """The work of one reply; none if that cannot be read: then it fails, and keeps no other from beginning."""
    try:
        said = prompts.said([message.conversation_id])
        return [work(message, server, said[message.conversation_id])]
    except Exception as error:
        if db_threads.away(error):
            raise
        log.exception("Reply %s cannot be begun", message.pk)
        with transaction.atomic():
            gate.release([message.lease] if message.lease else [])
            failed = progress.failed(progress.INTERNAL, "internal")
            if progress.claimed(message.pk, message.claim).update(**failed):
                record(progress.take_left(message, Status.FAILED, "internal"))
        return []


# The same as an update() for each, without a query to be built for each of the hundreds that a switch has kept waiting.
BEGUN = ("status", "claim", "lease", "started_at", "model", "server", "handovers")
BEGIN = """
UPDATE chat_message
SET status = %s, claim = %s, lease = %s, started_at = %s, model = %s, server = %s, handovers = %s,
    revision = revision + 1
WHERE id = %s AND status = %s
"""


def lease(messages: Sequence[Message], holder: str, placed: Mapping[int, Entered]) -> None:
    """Give each of the replies a lease, and the columns of one that is begun: they are to be written in this transaction.

    `placed` says by reply which server it is written by.
    """
    now = timezone.now()
    subjects = [(placed[message.pk].pk, f"{queue.KIND} {message.pk}") for message in messages]
    for message, given in zip(messages, gate.leases(holder, subjects), strict=True):
        server = placed[message.pk]
        message.status, message.claim, message.lease = Status.STREAMING, uuid.uuid4(), given
        message.started_at, message.model, message.server = message.started_at or now, server.model, server.pk
        message.revision += 1
        if message.handovers and message.handovers[-1]["model"] == server.model:
            del message.handovers[-1]  # cut, and continued by the same model: no change of hands


def _begin(messages: Sequence[Message]) -> list[Message]:
    """Write down that these replies are begun; return those that waited until then."""
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
        if cursor.rowcount == len(rows):
            return list(messages)
    # On PostgreSQL some of them may have been stopped meanwhile: stopping does not pass the gate.
    claims = {message.claim for message in messages}
    now_begun = Message.objects.filter(pk__in=[message.pk for message in messages], claim__in=claims)
    begun = set(now_begun.values_list("pk", flat=True))
    gate.release([message.lease for message in messages if message.lease and message.pk not in begun])
    return [message for message in messages if message.pk in begun]


def work(message: Message, server: Entered, said: prompts.Said) -> ClaimedReply:
    """What is needed to generate a reply that is begun; `said`: all of its conversation."""
    conversation, now = message.conversation, timezone.now()
    alias = aliases.of_conversation(conversation)
    params: dict[str, Any] = dict(alias.sampling) if alias else {}
    if conversation.temperature is not None:
        params["temperature"] = conversation.temperature
    if conversation.max_tokens is not None:
        params["max_tokens"] = conversation.max_tokens
    assert message.claim is not None  # noqa: S101 (set a moment ago, in lease)
    assert message.lease is not None  # noqa: S101
    return ClaimedReply(
        message=message.pk,
        conversation=conversation.pk,
        owner=conversation.owner_id,
        claim=message.claim,
        lease=message.lease,
        model=message.model,
        server=server.pk,
        epoch=server.epoch,
        attempts=message.attempts,
        revivals=message.revivals,
        spent=(message.spent_prompt, message.spent_completion),
        text=message.text,
        # Thoughts that were cut before a word of the answer came cannot be continued: they are thought again.
        reasoning=message.reasoning if message.text else "",
        reasoning_seconds=message.reasoning_seconds if message.text else None,
        prompt=prompts.above(message, said, alias.system_prompt if alias else ""),
        params=params,
        waited=(now - (message.queued_at or now)).total_seconds(),
        row=_shown(message, said),
        asked=_shown(message.parent, said) if message.parent else None,
    )


def _shown(message: Message, said: prompts.Said) -> page_schema.Message:
    return wire.shown(message, versions=prompts.versions(message, said), position=None)
