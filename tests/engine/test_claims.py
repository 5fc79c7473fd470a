"""Two processes and one reply: what is written under an older claim changes nothing; limits hold whoever claims."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support import messages
from support.messages import row
from support.rivals import acting_as, let_holders_die
from support.servers import SERVER

from chat import claims, progress, replies
from chat.models import Conversation, Message, Status
from chat.progress import ClaimedReply, ReplyProgress, Unfinished
from models_admin.aliases import changes
from models_admin.aliases.book import book
from models_admin.aliases.changes import Wanted
from models_admin.models import Lease
from models_admin.servers import state_row
from models_admin.switching import admission, gate
from models_admin.tabby.errors import Unreachable

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded


def conversation_of(name: str) -> Conversation:
    owner, _ = User.objects.get_or_create(username=name)
    return Conversation.objects.create(owner=owner)


def ask(name: str, *, times: int = 1) -> None:
    """So many messages of `name`, each in a conversation of its own."""
    for _ in range(times):
        replies.send(conversation_of(name).pk, uuid.uuid4(), "Hello")
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=1))


def claim(holder: str) -> list[ClaimedReply]:
    return claims.claim(holder, 64)


def only(works: list[ClaimedReply]) -> ClaimedReply:
    assert len(works) == 1
    return works[0]


def works_of(count: int) -> list[ClaimedReply]:
    """Claim so many replies, each of a person of its own."""
    for number in range(count):
        ask(f"person {number}")
    works = claims.claim("one", count)
    assert len(works) == count
    return works


def taken_over() -> tuple[ClaimedReply, ClaimedReply]:
    """A reply whose process froze, and the claim of the one that has it now."""
    ask("mara")
    frozen = only(claim("frozen"))
    progress.save([(frozen, ReplyProgress("The first", ""))])
    let_holders_die()
    assert progress.revive() == [(frozen.message, frozen.conversation)]
    heir = only(claim("heir"))
    assert heir.message == frozen.message
    assert heir.text == "The first"
    return frozen, heir


def facts(work: ClaimedReply) -> tuple[Any, ...]:
    found = row(work)
    return found.status, found.text, found.claim, found.lease, found.error, found.revision


def test_growth_is_saved_and_the_end_closes_reply_and_lease_together() -> None:
    ask("mara")
    work = only(claim("one"))
    progress.save([(work, ReplyProgress("Once", "hm", 1.5))])
    found = row(work)
    assert (found.status, found.text, found.reasoning, found.reasoning_seconds) == (
        Status.STREAMING, "Once", "hm", 1.5,
    )  # fmt: skip
    before = Conversation.objects.get(pk=work.conversation).updated_at
    grown = ReplyProgress(
        "Once upon", "hm", 1.5, html="<p>Once upon</p>", usage={"total": 3}, finish_reason="stop"
    )
    assert progress.end(work, Status.COMPLETE, grown)
    found = row(work)
    assert (found.status, found.text, found.html, found.usage) == (
        Status.COMPLETE, "Once upon", "<p>Once upon</p>", {"total": 3},
    )  # fmt: skip
    assert found.finish_reason == "stop"
    assert found.finished_at is not None
    assert found.lease is None
    assert not Lease.objects.exists()
    assert Conversation.objects.get(pk=work.conversation).updated_at > before


def test_what_has_ended_is_not_written_to_again() -> None:
    ask("mara")
    work = only(claim("one"))
    assert progress.end(work, Status.COMPLETE, ReplyProgress("All of it", ""))
    before = facts(work)
    progress.save([(work, ReplyProgress("Late", ""))])
    assert not progress.end(work, Status.FAILED, ReplyProgress("Late", "", error="late"))
    assert not messages.put_back(work, ReplyProgress("Late", ""), "one", failed=True)
    assert progress.revive() == []
    assert facts(work) == before


def test_a_process_that_was_frozen_saves_nothing_into_a_reply_that_another_has() -> None:
    frozen, heir = taken_over()
    progress.save([(heir, ReplyProgress("The first and the second", ""))])
    before = facts(heir)
    progress.save([(frozen, ReplyProgress("The first of long ago", ""))])
    assert facts(heir) == before


def test_a_process_that_was_frozen_does_not_end_a_reply_that_another_has() -> None:
    frozen, heir = taken_over()
    before = facts(heir)
    for status in (Status.COMPLETE, Status.STOPPED, Status.FAILED):
        assert not progress.end(frozen, status, ReplyProgress("The first of long ago", "", error="long ago"))
        assert facts(heir) == before
    assert Lease.objects.filter(pk=heir.lease).exists()
    assert progress.end(heir, Status.COMPLETE, ReplyProgress("All of it", ""))
    assert row(heir).text == "All of it"


@pytest.mark.parametrize("failed", [False, True])
def test_a_process_that_was_frozen_does_not_put_back_a_reply_that_another_has(failed: bool) -> None:
    frozen, heir = taken_over()
    before = facts(heir)
    assert not messages.put_back(frozen, ReplyProgress("The first of long ago", ""), "frozen", failed=failed)
    assert facts(heir) == before
    assert Lease.objects.filter(pk=heir.lease).exists()
    assert messages.put_back(heir, ReplyProgress("The first and", ""), "heir", failed=failed)
    assert (row(heir).status, row(heir).text) == (Status.QUEUED, "The first and")


def test_a_reply_that_is_put_back_is_gone_on_with() -> None:
    ask("mara")
    work = only(claim("one"))
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    found = row(work)
    assert (found.status, found.lease, found.attempts) == (Status.QUEUED, None, 0)
    assert found.handovers == [{"model": "usual", "upto": 6}]
    assert not Lease.objects.exists()
    again = only(claim("one"))
    assert (again.message, again.text) == (work.message, "So far")
    assert again.claim != work.claim
    assert row(again).handovers == []  # the same model goes on with it


def test_all_that_a_switch_cuts_goes_back_together_and_each_costs_one_statement() -> None:
    def cut(count: int) -> int:
        works = works_of(count)
        batch = [
            Unfinished(work, ReplyProgress(f"So far {work.message}", ""), failed=False) for work in works
        ]
        with CaptureQueriesContext(connection) as asked:
            assert progress.put_back(batch, "one") == [True] * count
        assert [(row(work).status, row(work).text) for work in works] == [
            (Status.QUEUED, f"So far {work.message}") for work in works
        ]
        assert not Lease.objects.exists()
        Message.objects.all().delete()
        return len(asked)

    assert cut(9) - cut(2) == 9 - 2


def test_of_those_that_go_back_together_each_hears_its_own() -> None:
    (lost, left, stopped, gone), done = works_of(4), ReplyProgress("So far", "")
    Message.objects.filter(pk=lost.message).update(claim=uuid.uuid4())
    Message.objects.filter(pk=stopped.message).update(stop_requested=timezone.now())
    Message.objects.filter(pk=gone.message).delete()
    batch = [Unfinished(work, done, failed=False) for work in (lost, left, stopped, gone)]
    assert progress.put_back(batch, "one") == [False, True, True, False]
    assert [row(work).status for work in (lost, left, stopped)] == [
        Status.STREAMING,
        Status.QUEUED,
        Status.STOPPED,
    ]
    assert not Lease.objects.exists()


def test_an_attempt_that_failed_is_counted_and_waits() -> None:
    ask("mara")
    work = only(claim("one"))
    assert messages.put_back(work, ReplyProgress("", ""), "one", failed=True)
    found = row(work)
    assert found.attempts == 1
    assert found.not_before is not None
    assert found.not_before > timezone.now()
    assert claim("one") == []


def test_a_reply_that_is_to_stop_is_not_put_back() -> None:
    ask("mara")
    work = only(claim("one"))
    replies.stop(work.conversation, work.message)
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    assert (row(work).status, row(work).text) == (Status.STOPPED, "So far")


def test_the_replies_of_the_living_are_not_revived() -> None:
    ask("mara")
    work = only(claim("one"))
    assert progress.revive() == []
    assert row(work).status == Status.STREAMING
    assert claim("another") == []


def test_a_reply_of_the_dead_is_stopped_instead_if_its_reader_wanted_that() -> None:
    ask("mara")
    work = only(claim("one"))
    replies.stop(work.conversation, work.message)
    let_holders_die()
    progress.revive()
    assert row(work).status == Status.STOPPED
    assert claim("another") == []


def test_nothing_is_claimed_behind_a_closed_gate() -> None:
    ask("mara")
    state_row.set_loaded(SERVER, None)
    with pytest.raises(gate.Closed):
        claim("one")
    assert not Lease.objects.exists()


def test_a_claim_that_fails_half_way_leaves_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RecursionError

    ask("mara")
    monkeypatch.setattr(claims, "_begin", broken)
    with pytest.raises(RecursionError):
        claim("one")
    assert not Lease.objects.exists()


def test_nothing_is_claimed_while_tabbyapi_is_out_of_reach() -> None:
    ask("mara")
    state_row.set_trouble(SERVER, Unreachable("TabbyAPI cannot be reached"))
    with pytest.raises(gate.Closed):
        claim("one")
    state_row.set_reachable(SERVER)
    assert len(claim("one")) == 1


def test_who_holds_a_lease_hears_at_its_next_beat_that_it_is_to_let_go() -> None:
    ask("mara")
    ask("noor")
    first, second = claim("one")
    assert gate.touch("one") == {first.lease: False, second.lease: False}
    progress.end(first, Status.COMPLETE, ReplyProgress("Done", ""))
    assert gate.revoke(SERVER) == 1
    assert gate.touch("one") == {second.lease: True}
    assert gate.touch("another") == {}
    assert gate.revoke(SERVER) == 0, "it has been told"


def test_a_reply_is_first_for_the_process_whose_page_asked_and_soon_for_any() -> None:
    with acting_as("asked"):
        replies.send(conversation_of("mara").pk, uuid.uuid4(), "Hello")
    assert claim("another") == []
    assert len(claim("asked")) == 1
    with acting_as("dead"):
        replies.send(conversation_of("noor").pk, uuid.uuid4(), "Hello")
    assert claim("another") == []
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - 2 * admission.COURTESY)
    assert len(claim("another")) == 1


def test_a_reply_that_is_put_back_is_first_for_the_process_that_had_it() -> None:
    ask("mara")
    work = only(claim("one"))
    assert messages.put_back(work, ReplyProgress("So far", ""), "one", failed=False)
    assert claim("another") == []
    assert only(claim("one")).message == work.message


def test_a_conversations_replies_come_one_after_the_other() -> None:
    conversation = conversation_of("mara")
    for words in ("First", "Second"):
        replies.send(conversation.pk, uuid.uuid4(), words)
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=1))
    first = only(claim("one"))
    assert claim("one") == []
    progress.end(first, Status.COMPLETE, ReplyProgress("Done", ""))
    second = only(claim("one"))
    assert [turn["content"] for turn in second.prompt] == ["First", "Done", "Second"]


def test_what_is_stopped_while_it_is_being_claimed_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL it may be stopped between its choice and its beginning: stopping does not pass the gate."""
    ask("mara")
    ask("noor")
    reply = Message.objects.filter(status=Status.QUEUED).earliest("pk")
    leases = gate.leases

    def stopped_meanwhile(holder: str, subjects: Sequence[tuple[int, str]]) -> list[int]:
        replies.stop(reply.conversation_id, reply.pk)
        return leases(holder, subjects)

    monkeypatch.setattr(gate, "leases", stopped_meanwhile)
    (work,) = claim("one")
    assert work.message != reply.pk, "the one that was claimed with it begins"
    assert Message.objects.get(pk=reply.pk).status == Status.STOPPED
    assert Lease.objects.values_list("pk", flat=True).get() == work.lease


def test_nobody_has_more_replies_at_once_than_replies_per_user(settings: Any) -> None:
    settings.REPLIES_PER_USER = 2
    ask("mara", times=5)
    ask("noor")
    first = claim("one")
    owners = sorted(Conversation.objects.get(pk=each.conversation).owner.username for each in first)
    assert owners == ["mara", "mara", "noor"]
    assert claim("another") == []
    mine = [each for each in first if Conversation.objects.get(pk=each.conversation).owner.username == "mara"]
    progress.end(mine[0], Status.COMPLETE, ReplyProgress("Done", ""))
    assert len(claim("another")) == 1


def test_all_together_have_no_more_replies_at_once_than_replies_at_once(settings: Any) -> None:
    settings.REPLIES_AT_ONCE = 3
    for name in ("mara", "noor", "olu", "pia", "quinn"):
        ask(name)
    first = claim("one")
    assert len(first) == 3
    assert claim("another") == []
    progress.end(first[0], Status.COMPLETE, ReplyProgress("Done", ""))
    assert len(claim("another")) == 1


@pytest.mark.parametrize("how", ["send", "edit", "regenerate"])
def test_nobody_has_more_messages_waiting_than_queued_per_user(settings: Any, how: str) -> None:
    settings.QUEUED_PER_USER = 2
    ask("mara")
    work = only(claim("one"))
    progress.end(work, Status.COMPLETE, ReplyProgress("Done", ""))
    reply = row(work)
    ask("mara", times=2)
    asks = {
        "send": lambda: replies.send(work.conversation, uuid.uuid4(), "More"),
        "edit": lambda: replies.edit(work.conversation, reply.parent_id or 0, uuid.uuid4(), "Else"),
        "regenerate": lambda: replies.regenerate(work.conversation, reply.pk),
    }
    with pytest.raises(replies.FrameRefused) as refusal:
        asks[how]()
    assert refusal.value.code == "too_many"
    assert Message.objects.filter(status=Status.QUEUED).count() == 2
    ask("noor")  # which is nobody else's limit
    waiting = Message.objects.filter(status=Status.QUEUED, conversation__owner__username="mara").first()
    assert waiting is not None
    replies.stop(waiting.conversation_id, waiting.pk)
    asks[how]()


def asked_with(alias: str, **own: Any) -> tuple[dict[str, Any], list[str]]:
    """What a conversation with this alias asks: its options, and its system prompt if there is one."""
    book.forget()
    conversation = conversation_of("mara")
    Conversation.objects.filter(pk=conversation.pk).update(alias=alias, **own)
    replies.send(conversation.pk, uuid.uuid4(), "Hello")
    Message.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=1))
    work = only(claim("one"))
    assert progress.end(work, Status.COMPLETE, ReplyProgress("Yes.", ""))
    return work.params, [each["content"] for each in work.prompt if each["role"] == "system"]


def test_an_alias_holds_below_the_settings_of_the_conversation() -> None:
    brings = {"temperature": 0.2, "top_p": 0.9}
    row = changes.make("coder", Wanted(sampling=brings, system_prompt="Be brief."), None)
    assert asked_with("coder") == (brings, ["Be brief."])
    own = {"temperature": 1.0, "max_tokens": 9, "system_prompt": "Be long."}
    merged = {"temperature": 1.0, "top_p": 0.9, "max_tokens": 9}
    assert asked_with("coder", **own) == (merged, ["Be long."])
    assert asked_with("nothing") == ({}, [])
    changes.retire(row, "", None)
    assert asked_with("coder") == ({}, [])
    changes.change(changes.restore(row, None), Wanted(everybody=False), None)
    assert asked_with("coder") == ({}, [])
