"""Continuing a reply that was cut: it goes back into the queue with what it has, once, and only where something was cut."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat import replies, wire
from chat.models import Conversation, Message, Role, Status
from chat.replies import FrameRefused

pytestmark = pytest.mark.django_db


def cut(**fields: Any) -> Message:
    """A reply that was stopped after its first words."""
    conversation = Conversation.objects.create(owner=User.objects.create(username=uuid.uuid4().hex))
    asked = conversation.messages.create(role=Role.USER, status=Status.COMPLETE, text="Tell me.")
    facts = {
        "status": Status.STOPPED,
        "text": "Once upon",
        "html": "<p>Once upon</p>",
        "model": "alpha-7B",
        **fields,
    }
    now = timezone.now()
    reply = conversation.messages.create(
        parent=asked, role=Role.ASSISTANT, finished_at=now, stop_requested=now, **facts
    )
    Conversation.objects.filter(pk=conversation.pk).update(head=reply)
    return reply


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "status": Status.FAILED,
            "error": "The stream broke.",
            "error_kind": "stream",
            "attempts": 5,
            "revivals": 3,
        },
        {"status": Status.COMPLETE, "finish_reason": "length"},
    ],
    ids=["stopped", "failed", "at its limit"],
)
def test_a_reply_that_was_cut_goes_back_into_the_queue_with_what_it_has(fields: dict[str, Any]) -> None:
    reply = cut(**fields)
    (shown,) = wire.messages([reply.pk])
    assert shown["continuable"] is True
    for _ in range(2):  # a repeat changes nothing
        assert replies.go_on(reply.conversation_id, reply.pk).messages == [reply.pk]
        reply.refresh_from_db()
        assert (reply.status, reply.text, reply.revision) == (Status.QUEUED, "Once upon", 1)
    assert reply.handovers == [{"model": "alpha-7B", "upto": 9}]
    left = (reply.error, reply.finish_reason, reply.attempts, reply.revivals, reply.stop_requested)
    assert left == ("", "", 0, 0, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.COMPLETE, "finish_reason": "stop"},
        {"status": Status.COMPLETE, "finish_reason": "max_chars"},
        {"text": "", "html": "", "reasoning": "Let me think"},
    ],
    ids=["complete", "at the server's bound", "nothing but thoughts"],
)
def test_a_reply_that_was_not_cut_is_not_continued(fields: dict[str, Any]) -> None:
    reply = cut(**fields)
    assert wire.messages([reply.pk])[0]["continuable"] is False
    with pytest.raises(FrameRefused) as refusal:
        replies.go_on(reply.conversation_id, reply.pk)
    assert refusal.value.code == "not_cut"


def test_a_reply_that_was_answered_is_not_continued() -> None:
    reply = cut()
    reply.conversation.messages.create(parent=reply, role=Role.USER, status=Status.COMPLETE, text="Well?")
    with pytest.raises(FrameRefused) as refusal:
        replies.go_on(reply.conversation_id, reply.pk)
    assert refusal.value.code == "not_last"


def test_continuing_counts_against_what_may_wait(settings: Any) -> None:
    settings.QUEUED_PER_USER = 0
    reply = cut()
    with pytest.raises(FrameRefused) as refusal:
        replies.go_on(reply.conversation_id, reply.pk)
    assert refusal.value.code == "too_many"
