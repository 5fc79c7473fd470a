"""A reply under which processes die or freeze again and again fails; one that grows meanwhile is revived for ever."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from support import messages
from support.rivals import let_holders_die

from chat import claims, progress, replies
from chat.models import Conversation, Message, Status
from chat.progress import ClaimedReply, ReplyProgress

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded


@pytest.fixture
def reply() -> int:
    conversation = Conversation.objects.create(owner=User.objects.create(username="mara"))
    waiting = replies.send(conversation.pk, uuid.uuid4(), "Hello").messages[-1]
    Message.objects.filter(pk=waiting).update(origin="")
    return waiting


def begun() -> ClaimedReply:
    (work,) = claims.claim("one", 16)
    return work


def lost() -> Message:
    """The only reply, after its process died and others looked for what it left."""
    let_holders_die()
    ((message, _),) = progress.revive()
    return Message.objects.get(pk=message)


def test_a_reply_that_is_revived_three_times_without_progress_fails_and_says_so(reply: int) -> None:
    for _ in range(3):
        begun()
        assert lost().status == Status.QUEUED
    begun()
    found = lost()
    assert (found.status, found.error_kind) == (Status.FAILED, "revived")
    assert "begun 4 times" in found.error
    assert found.finished_at is not None
    assert found.lease is None
    assert claims.claim("one", 16) == []
    assert progress.revive() == []


def test_text_is_progress_and_the_count_begins_anew(reply: int) -> None:
    text = ""
    for _ in range(10):
        work = begun()
        assert work.text == text
        text += " more"
        progress.save([(work, ReplyProgress(text, ""))])
        assert lost().status == Status.QUEUED
    for _ in range(2):
        work = begun()
        progress.save([(work, ReplyProgress(text, ""))])  # as much as there was
        assert lost().status == Status.QUEUED
    begun()
    assert lost().status == Status.FAILED


def test_thoughts_that_are_thought_again_are_no_progress(reply: int) -> None:
    for _ in range(3):
        progress.save([(begun(), ReplyProgress("", "Let me see"))])
        assert lost().status == Status.QUEUED
    progress.save([(begun(), ReplyProgress("", "Let me see once more"))])
    assert lost().status == Status.FAILED


def test_being_put_back_is_no_progress_but_no_death_either(reply: int) -> None:
    for _ in range(3):
        begun()
        lost()
    for _ in range(5):
        assert messages.put_back(begun(), ReplyProgress("", ""), "one", failed=False)
    begun()
    assert lost().status == Status.FAILED


def test_a_reader_who_wants_it_stopped_gets_that(reply: int) -> None:
    for _ in range(3):
        begun()
        lost()
    work = begun()
    replies.stop(work.conversation, work.message)
    assert lost().status == Status.STOPPED
