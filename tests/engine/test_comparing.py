"""A reply beside another one: it waits for another model in no line, holds up nobody, and is all of one model."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from support import messages
from support.rivals import let_holders_die
from support.servers import SERVER

from chat import claims, comparing, conversations, feedback, opinions, progress, replies, wire
from chat.models import Better, Conversation, Message, Role, Status, Thumb, Verdict
from chat.progress import ClaimedReply, ReplyProgress
from chat.replies import FrameRefused
from models_admin.presentation.model_reports import Compared
from models_admin.servers import state_row
from models_admin.switching import admission
from models_admin.usage.reading import Span

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded


def loaded(model: str, **fields: Any) -> None:
    row = state_row.row(SERVER)
    row.model = model
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def replied(name: str = "mara", **fields: Any) -> Message:
    """A reply of the loaded model, at the end of a conversation of its own."""
    owner, _ = User.objects.get_or_create(username=name)
    conversation = Conversation.objects.create(owner=owner)
    asked = conversation.messages.create(role=Role.USER, status=Status.COMPLETE, text="Tell me.")
    facts = {"status": Status.COMPLETE, "text": "Once.", "model": "usual", **fields}
    reply = conversation.messages.create(parent=asked, role=Role.ASSISTANT, **facts)
    Conversation.objects.filter(pk=conversation.pk).update(head=reply)
    return reply


def compared(reply: Message) -> Message:
    """The comparison that is asked for with a reply."""
    (pk,) = comparing.ask(reply.conversation_id, reply.pk).messages
    return Message.objects.get(pk=pk)


def brought(comparison: Message) -> bool:
    """Whether the comparison is brought into line now."""
    return (comparison.pk, comparison.conversation_id) in comparing.bring_in_line()


def claimed(room: int = 64) -> list[ClaimedReply]:
    """What a process may begin that was asked for none of it, after a while."""
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=1))
    return claims.claim("one", room)


def written(comparison: Message, model: str = "other", text: str = "Twice.") -> Message:
    """The comparison, written to its end by another model."""
    loaded(model)
    assert brought(comparison)
    (work,) = claimed()
    assert progress.end(work, Status.COMPLETE, ReplyProgress(text, ""))
    loaded("usual")
    return Message.objects.get(pk=comparison.pk)


def refused(of: Any, *facts: Any) -> str:
    with pytest.raises(FrameRefused) as refusal:
        of(*facts)
    return refusal.value.code


# Its place -------------------------------------------------------------------------------------------------------------


def test_a_comparison_waits_outside_of_the_line_until_another_model_is_ready() -> None:
    comparison = compared(reply := replied())
    assert (comparison.status, comparison.parent_id) == (Status.AWAITING, reply.parent_id)
    for nothing in ("usual", ""):
        loaded(nothing)
        assert not brought(comparison)
    loaded("other", unreachable_since=timezone.now())
    assert not brought(comparison)
    loaded("other", unreachable_since=None, out_of_service_since=timezone.now())
    assert not brought(comparison)
    assert admission.totals()[0] == 0
    loaded("other", out_of_service_since=None)
    assert brought(comparison)
    assert admission.totals()[0] == 1
    (work,) = claimed()
    assert (work.message, work.model, work.prompt) == (
        comparison.pk, "other", [{"role": "user", "content": "Tell me."}],
    )  # fmt: skip
    assert work.row["versions"] == {"index": 1, "count": 1, "ids": [comparison.pk]}


def test_it_comes_behind_those_who_wait_already_however_long_ago_it_was_asked_for(settings: Any) -> None:
    comparison = compared(replied())
    Message.objects.filter(pk=comparison.pk).update(created_at=timezone.now() - timedelta(days=9))
    first = messages.say("ada")
    loaded("other")
    assert brought(comparison)
    settings.REPLIES_AT_ONCE = 1
    assert [work.message for work in claimed()] == first


def test_its_conversation_goes_on_meanwhile() -> None:
    reply = replied()
    comparison = compared(reply)
    done = replies.send(reply.conversation_id, uuid.uuid4(), "And then?")
    loaded("other")
    assert brought(comparison)
    works = {work.message: work for work in claimed()}
    assert set(works) == {comparison.pk, done.messages[-1]}
    said = [turn["content"] for turn in works[done.messages[-1]].prompt]
    assert said == ["Tell me.", "Once.", "And then?"]
    assert Conversation.objects.get(pk=reply.conversation_id).head_id == done.messages[-1]


def test_where_the_other_model_has_gone_when_its_turn_comes_it_is_set_aside_and_others_begin() -> None:
    comparison = compared(replied())
    loaded("other")
    assert brought(comparison)
    loaded("usual")
    behind = messages.say("ada")
    assert [work.message for work in claimed(room=1) + claimed(room=1)] == behind
    comparison.refresh_from_db()
    assert (comparison.status, comparison.revision) == (Status.AWAITING, 2)
    assert not brought(comparison)
    loaded("other")
    assert brought(comparison)


def test_what_is_begun_goes_on_with_the_same_model_and_is_begun_anew_by_another_one() -> None:
    comparison = compared(replied())
    loaded("other")
    assert brought(comparison)
    (work,) = claimed()
    progress.save([(work, ReplyProgress("Twi", "hm"))])
    let_holders_die()
    assert progress.revive() == [(comparison.pk, comparison.conversation_id)]
    (work,) = claimed()
    assert (work.model, work.text) == ("other", "Twi")
    assert messages.put_back(work, ReplyProgress("Twice", "hm"), "one", failed=False)
    loaded("usual")
    assert claimed() == []
    loaded("third")
    assert brought(comparison)
    (work,) = claimed()
    assert (work.model, work.text, work.reasoning, work.row["handovers"]) == ("third", "", "", [])
    comparison.refresh_from_db()
    assert (comparison.text, comparison.reasoning, comparison.handovers) == ("", "", [])


# Asking ----------------------------------------------------------------------------------------------------------------


def test_it_is_asked_for_once_and_again_where_it_came_to_nothing() -> None:
    reply = replied()
    comparison = compared(reply)
    assert compared(reply) == comparison
    with pytest.raises(IntegrityError), transaction.atomic():  # two at the same moment
        reply.conversation.messages.create(parent=reply.parent, role=Role.ASSISTANT, compared_with=reply)
    replies.stop(reply.conversation_id, comparison.pk)
    comparison.refresh_from_db()
    assert comparison.status == Status.STOPPED
    Message.objects.filter(pk=comparison.pk).update(text="Tw", model="other")
    comparing.judge(reply.conversation_id, comparison.pk, Better.SAME)
    assert compared(reply) == comparison
    comparison.refresh_from_db()
    assert (comparison.status, comparison.text, comparison.model) == (Status.AWAITING, "", "")
    assert (comparison.stop_requested, comparison.finished_at) == (None, None)
    assert not Verdict.objects.exists()
    written(comparison)
    assert compared(reply).text == "Twice."


@pytest.mark.parametrize(
    "fields",
    [{"status": Status.STREAMING}, {"status": Status.QUEUED, "text": ""}, {"text": " "}, {"model": ""}],
)
def test_only_a_reply_that_has_ended_with_something_is_compared(fields: dict[str, Any]) -> None:
    reply = replied(**fields)
    assert refused(comparing.ask, reply.conversation_id, reply.pk) == "not_ended"


def test_what_is_no_reply_of_the_conversation_is_not_compared() -> None:
    reply, elsewhere = replied(), replied("ada")
    comparison = compared(reply)
    for pk in (elsewhere.pk, reply.parent_id, comparison.pk):
        assert refused(comparing.ask, reply.conversation_id, pk) == "not_found"


def test_a_person_has_so_many_open_and_they_count_as_no_waiting_message(settings: Any) -> None:
    settings.QUEUED_PER_USER = 1
    open_ones = [compared(replied()) for _ in range(comparing.MOST_OPEN)]
    more = replied()
    assert refused(comparing.ask, more.conversation_id, more.pk) == "too_many"
    compared(replied("ada"))
    replies.send(more.conversation_id, uuid.uuid4(), "And then?")
    replies.stop(open_ones[0].conversation_id, open_ones[0].pk)
    compared(more)


def test_a_deleted_conversation_waits_for_nothing() -> None:
    comparison = compared(replied())
    replies.stop_all(comparison.conversation_id)
    loaded("other")
    assert not brought(comparison)


# Its place in the conversation -----------------------------------------------------------------------------------------


def test_no_branch_leads_through_a_comparison() -> None:
    reply = replied()
    comparison = written(compared(reply))
    shown = wire.branch(reply.conversation_id)["messages"]
    assert [each["id"] for each in shown] == [reply.parent_id, reply.pk, comparison.pk]
    assert [each["compared_with"] for each in shown] == [None, None, reply.pk]
    assert shown[1]["versions"] == {"index": 1, "count": 1, "ids": [reply.pk]}
    assert [each["versions"]["count"] for each in wire.messages([reply.pk, comparison.pk])] == [1, 1]
    assert reply.parent_id is not None
    replies.select(reply.conversation_id, reply.parent_id)
    assert Conversation.objects.get(pk=reply.conversation_id).head_id == reply.pk
    for ask in (replies.select, replies.regenerate, replies.go_on):
        assert refused(ask, reply.conversation_id, comparison.pk) == "not_found"
    assert refused(replies.send, reply.conversation_id, uuid.uuid4(), "Hm", comparison.pk) == "not_found"


def test_a_reply_that_is_asked_for_anew_is_a_version_of_its_reply_alone() -> None:
    reply = replied()
    compared(reply)
    (again,) = replies.regenerate(reply.conversation_id, reply.pk).messages
    (work,) = claimed()
    assert work.row["versions"] == {"index": 2, "count": 2, "ids": [reply.pk, again]}


def test_it_comes_with_the_earlier_messages_and_with_the_export() -> None:
    reply = replied()
    comparison = written(compared(reply))
    comparing.judge(reply.conversation_id, comparison.pk, Better.SECOND)
    asked = replies.send(reply.conversation_id, uuid.uuid4(), "And then?").messages[0]
    conversation = Conversation.objects.get(pk=reply.conversation_id)
    page = conversations.earlier(conversation, asked)
    assert [each["id"] for each in page["messages"]] == [reply.parent_id, reply.pk, comparison.pk]
    told = json.loads("".join(conversations.document(conversation)))["messages"]
    (row,) = (each for each in told if each["id"] == comparison.pk)
    assert (row["compared_with_id"], row["better"], row["text"]) == (reply.pk, "second", "Twice.")


def test_the_other_reply_is_kept_as_a_version_and_shown() -> None:
    reply = replied()
    comparison = compared(reply)
    assert refused(comparing.keep, reply.conversation_id, comparison.pk) == "not_ended"
    assert refused(comparing.keep, reply.conversation_id, reply.pk) == "not_compared"
    written(comparison)
    assert comparing.keep(reply.conversation_id, comparison.pk).rebranched
    shown = wire.branch(reply.conversation_id)["messages"]
    assert [each["id"] for each in shown] == [reply.parent_id, comparison.pk]
    assert shown[1]["versions"] == {"index": 2, "count": 2, "ids": [reply.pk, comparison.pk]}
    assert compared(reply).pk != comparison.pk  # there is room for another one


# Verdicts --------------------------------------------------------------------------------------------------------------


def test_a_verdict_is_given_changed_and_taken_back() -> None:
    reply = replied()
    comparison = compared(reply)
    talk = reply.conversation_id
    assert refused(comparing.judge, talk, comparison.pk, Better.FIRST) == "not_ended"
    assert refused(comparing.judge, talk, reply.pk, Better.FIRST) == "not_compared"
    written(comparison)
    for better in (Better.FIRST, Better.SECOND):
        comparing.judge(talk, comparison.pk, better)
        assert wire.messages([comparison.pk])[0]["better"] == better
    assert Verdict.objects.get().better == "second"
    comparing.judge(talk, comparison.pk, None)
    assert wire.messages([comparison.pk])[0]["better"] is None
    assert not Verdict.objects.exists()


def test_verdicts_are_counted_by_model_from_both_sides_and_outlive_the_conversation() -> None:
    for better in (Better.FIRST, Better.FIRST, Better.SAME, Better.SECOND):
        comparison = written(compared(replied()))
        comparing.judge(comparison.conversation_id, comparison.pk, better)
    conversations.delete_all(User.objects.get(username="mara").pk)
    assert not Message.objects.exists()
    today = Span.of_days(1)
    assert opinions.of_model("usual", today, 5).compared == (Compared("other", 2, 1, 1),)
    assert opinions.of_model("other", today, 5).compared == (Compared("usual", 1, 1, 2),)
    assert opinions.of_model("third", today, 5).compared == ()
    long_ago = timezone.now() - timedelta(days=3)
    Verdict.objects.update(changed_at=long_ago)
    assert opinions.of_model("usual", today, 5).compared == ()


def test_a_comparison_has_feedback_like_other_replies() -> None:
    comparison = written(compared(replied()))
    owner = comparison.conversation.owner_id
    assert feedback.give(owner, comparison.pk, Thumb.UP, "", attach=False).model == "other"
