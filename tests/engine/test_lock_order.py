"""Whoever locks several rows takes them in one order: nobody waits for somebody who waits for him.

On PostgreSQL these would be deadlocks. On SQLite a transaction keeps all others out, and there is nothing to be seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from support.rivals import acting_as, has_to_wait, kept_waiting, let_holders_die
from support.servers import SERVER

from chat import claims, conversations, progress, replies
from chat.models import Conversation, Message, Role, Status
from chat.progress import ClaimedReply, ReplyProgress, Unfinished
from models_admin.models import Lease
from models_admin.servers import state_row
from models_admin.switching import gate

pytestmark = pytest.mark.django_db(transaction=True)


def leases() -> list[int]:
    """Two leases that are told to let go long ago; the later one lies first in the table."""
    ago = timezone.now() - timedelta(hours=1)
    state_row.row(SERVER)
    first, second = (
        Lease.objects.create(server_id=SERVER, holder="web", subject=f"reply {n}").pk for n in range(2)
    )
    Lease.objects.filter(pk=second).update(revoked_at=ago)
    Lease.objects.filter(pk=first).update(revoked_at=ago)
    return [first, second]


def revoke() -> None:
    gate.revoke(SERVER)


def drop_deaf() -> None:
    gate.drop_deaf(SERVER)


def remaining() -> None:
    gate.remaining(SERVER)


def release() -> None:
    gate.release(Lease.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("change", [revoke, drop_deaf, remaining, release])
def test_leases_are_locked_in_the_order_of_a_heartbeat(change: Callable[[], object]) -> None:
    first, second = leases()
    if change is revoke:
        Lease.objects.update(revoked_at=None)
        Lease.objects.filter(pk=first).update(subject="the last one in the table")
    if change is remaining:
        let_holders_die()
        Lease.objects.filter(pk=first).update(subject="the last one in the table")
    with transaction.atomic():  # a heartbeat, half way
        Lease.objects.select_for_update().get(pk=first)
        ended = kept_waiting(change)
        Lease.objects.select_for_update(nowait=True).get(pk=second)
    ended()


def claimed(holder: str, asked: int = 1) -> list[ClaimedReply]:
    row = state_row.row(SERVER)
    row.model, row.seen_at = "usual", timezone.now()
    row.save()
    for each in range(asked):
        with acting_as(holder):
            owner = User.objects.create_user(f"{holder} {each}")
            replies.send(Conversation.objects.create(owner=owner).pk, uuid.uuid4(), "Hello")
    return claims.claim(holder, 64)


def test_a_reply_ends_while_its_reader_stops_it() -> None:
    (work,) = claimed("web")
    with transaction.atomic():  # a stop, half way
        Conversation.objects.select_for_update().get(pk=work.conversation)
        ended = kept_waiting(partial(progress.end, work, Status.COMPLETE, ReplyProgress("All of it", "")))
        replies.stop(work.conversation, work.message)
    ended()
    assert Message.objects.get(pk=work.message).status == Status.COMPLETE


def test_an_end_that_comes_too_late_does_not_move_its_conversation() -> None:
    (work,) = claimed("web")
    Message.objects.filter(pk=work.message).update(claim=uuid.uuid4())
    before = Conversation.objects.get(pk=work.conversation).updated_at
    assert not progress.end(work, Status.COMPLETE, ReplyProgress("Late", ""))
    assert Conversation.objects.get(pk=work.conversation).updated_at == before


@pytest.mark.parametrize("how", ["save", "revive", "claim"])
def test_replies_are_saved_and_revived_and_claimed_in_one_order(how: str) -> None:
    works = claimed("web", asked=2)
    first, second = sorted(work.message for work in works)
    Message.objects.filter(pk=first).update(text="the last one in the table", continued_at=timezone.now())
    grown = [(work, ReplyProgress("So far", "")) for work in sorted(works, key=lambda each: -each.message)]
    let_holders_die()
    if how == "claim":
        progress.revive()
    ways = {
        "save": partial(progress.save, grown),
        "revive": progress.revive,
        "claim": partial(claims.claim, "heir", 2),
    }
    with transaction.atomic():
        Message.objects.select_for_update().get(pk=first)
        ended = kept_waiting(ways[how])
        Message.objects.select_for_update(nowait=True).get(pk=second)
    ended()


@pytest.mark.parametrize("locked_first", [Conversation, Message])
def test_an_account_goes_in_the_order_in_which_others_lock(
    locked_first: type[Conversation] | type[Message],
) -> None:
    owner = User.objects.create_user("mara")
    conversation = Conversation.objects.create(owner=owner)
    first, second = (
        conversation.messages.create(role=Role.USER, status=Status.COMPLETE, text="Hello").pk
        for _ in range(2)
    )
    Message.objects.filter(pk=first).update(text="the last one in the table")
    with transaction.atomic():  # an end or a save, half way
        key = conversation.pk if locked_first is Conversation else first
        locked_first._default_manager.select_for_update().get(pk=key)
        ended = kept_waiting(partial(conversations.delete_all, owner.pk))
        Message.objects.select_for_update(nowait=True).get(pk=second)
    ended()
    assert not Message.objects.exists()


def test_replies_that_go_back_are_locked_in_the_order_of_their_ids() -> None:
    first, second = claimed("one", 2)
    batch = [Unfinished(work, ReplyProgress("So far", ""), failed=False) for work in (second, first)]
    with transaction.atomic():
        Message.objects.select_for_update().get(pk=first.message)
        ended = kept_waiting(partial(progress.put_back, batch, "one"))
        Message.objects.select_for_update(nowait=True).get(pk=second.message)
    ended()
    assert not Message.objects.exclude(status=Status.QUEUED).filter(role=Role.ASSISTANT).exists()


def test_who_writes_behind_a_reply_does_not_wait_for_all_that_go_back_with_it() -> None:
    (work,) = claimed("one")
    behind = Message(
        conversation_id=work.conversation,
        parent_id=work.message,
        role=Role.USER,
        status=Status.COMPLETE,
        text="And?",
    )
    with transaction.atomic():
        progress.put_back([Unfinished(work, ReplyProgress("So far", ""), failed=False)], "one")
        waits = has_to_wait(behind.save)
    assert waits == (connection.vendor == "sqlite"), "there one writer keeps all others out"
