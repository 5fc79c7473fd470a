"""First come, first served within the limits: whoever is at his limit takes no place in line from others."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from support import messages

from chat import claims, progress, replies
from chat.models import Conversation, Message, Status
from chat.progress import ClaimedReply, ReplyProgress

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
BATCH = 16


def ask(name: str, times: int = 1) -> list[int]:
    """Messages of `name`; their replies, which have waited so long that any process may begin them."""
    waiting = messages.say(name, times)
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=1))
    return waiting


def begun(works: list[ClaimedReply]) -> list[int]:
    return [work.message for work in works]


def test_two_people_with_54_messages_each_do_not_delay_a_third() -> None:
    first, second = ask("mara", 54), ask("noor", 54)
    third = ask("olu")
    works = claims.claim("one", BATCH)
    assert begun(works) == [*first[:4], *second[:4], *third]


def test_one_at_his_limit_gets_his_next_as_soon_as_one_of_his_ends() -> None:
    waiting = ask("mara", 54)
    works = claims.claim("one", BATCH)
    fourth = ask("pia", 6)
    assert begun(claims.claim("two", BATCH)) == fourth[:4]
    assert claims.claim("one", BATCH) == []
    assert progress.end(works[2], Status.COMPLETE, ReplyProgress("Done", ""))
    assert begun(claims.claim("two", BATCH)) == waiting[4:5]


def test_who_came_first_begins_first_where_there_are_few_places(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 5
    first, second = ask("mara", 2), ask("noor", 2)
    third = ask("mara", 1)
    ask("olu", 3)
    assert begun(claims.claim("one", 3)) == [*first, second[0]]
    assert begun(claims.claim("two", BATCH)) == [second[1], third[0]]
    assert claims.claim("one", BATCH) == []


def test_a_conversation_has_one_reply_at_a_time_and_in_order() -> None:
    owner = User.objects.create(username="mara")
    conversation = Conversation.objects.create(owner=owner)
    first, second = (replies.send(conversation.pk, uuid.uuid4(), "Hi").messages[-1] for _ in range(2))
    Message.objects.filter(status=Status.QUEUED).update(origin="")
    (work,) = claims.claim("one", BATCH)
    assert work.message == first
    assert claims.claim("one", BATCH) == []
    progress.end(work, Status.COMPLETE, ReplyProgress("Done", ""))
    assert begun(claims.claim("one", BATCH)) == [second]


def test_an_older_reply_that_is_continued_waits_for_the_newer_one_that_streams() -> None:
    conversation = Conversation.objects.create(owner=User.objects.create(username="mara"))
    older = replies.send(conversation.pk, uuid.uuid4(), "Hi").messages[-1]
    Message.objects.filter(pk=older).update(status=Status.STOPPED, text="Once upon")
    newer = replies.regenerate(conversation.pk, older).messages[-1]
    Message.objects.filter(pk=newer).update(origin="")
    (work,) = claims.claim("one", BATCH)
    assert work.message == newer
    replies.go_on(conversation.pk, older)
    Message.objects.filter(pk=older).update(origin="")
    assert claims.claim("two", BATCH) == []
    progress.end(work, Status.COMPLETE, ReplyProgress("Done", ""))
    assert begun(claims.claim("two", BATCH)) == [older]


def test_what_another_process_was_asked_for_is_left_to_it_for_a_moment() -> None:
    ask("mara", 2)
    mine, theirs = Message.objects.filter(status=Status.QUEUED).order_by("id")
    Message.objects.filter(pk=mine.pk).update(origin="one", queued_at=timezone.now())
    Message.objects.filter(pk=theirs.pk).update(origin="two", queued_at=timezone.now())
    assert begun(claims.claim("one", BATCH)) == [mine.pk]
    Message.objects.filter(pk=theirs.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    assert begun(claims.claim("one", BATCH)) == [theirs.pk]
