"""Usage rows: one for each reply and its part of the day's sums, in the statement of the transaction that ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support import messages
from support.messages import row, say
from support.rivals import let_holders_die

from chat import claims as chat_claims
from chat import progress, replies
from chat.models import Conversation, Message, Status
from chat.progress import ClaimedReply, ReplyProgress
from gateway import claims
from gateway.claims import Left
from gateway.limits import Arrival
from gateway.models import Outcome, Process
from models_admin.api import tokens
from models_admin.models import Usage, UsageOutcome
from models_admin.usage.meter import Measured, Meter
from models_admin.usage.recording import CHAT, ReplyUsage, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
TOOK = Measured(10, 7, 0.5, 2.0)
ONE = "one/v1"


def usage(**facts: Any) -> ReplyUsage:
    given = {
        "person": 1,
        "token": 2,
        "model": "usual",
        "kind": "completions",
        "outcome": UsageOutcome.COMPLETE,
    }
    return ReplyUsage(**{**given, "measured": TOOK, **facts})


def sums() -> list[tuple[int, int, int, str]]:
    """Replies, tokens and outcome of each sum."""
    columns = ("replies", "prompt_tokens", "completion_tokens", "outcome")
    return list(Usage.objects.filter(at=None).order_by("id").values_list(*columns))


def claimed() -> ClaimedReply:
    """A reply of mara's that is begun."""
    say("mara")
    Message.objects.update(origin="")
    return chat_claims.claim("one", 1)[0]


def grown(completion: int, text: str = "So far", prompt: int = 0) -> ReplyProgress:
    return ReplyProgress(text, "", measured=Measured(prompt, completion))


def test_many_replies_are_one_statement_and_each_day_has_a_sum_for_each_key() -> None:
    record([usage(), usage(token=3), usage(measured=Measured(1, 1))])
    with CaptureQueriesContext(connection) as queries:
        record([usage(), usage(measured=Measured(5, 5, None, 1.0))])
    assert len(queries) == 1
    assert sorted(sums()) == [(1, 10, 7, "complete"), (4, 26, 20, "complete")]
    of_four = Usage.objects.get(at=None, token=2)
    assert (of_four.firsts, of_four.first_seconds, of_four.seconds) == (2, 1.0, 5.0)
    assert Usage.objects.filter(at__isnull=False, day=timezone.localdate()).count() == 5


def test_nothing_is_written_of_no_replies() -> None:
    with CaptureQueriesContext(connection) as queries:
        record([])
    assert len(queries) == 0


def test_the_end_of_a_reply_takes_one_statement_more() -> None:
    """Of conversation, message and lease, and its usage; BEGIN and COMMIT are not counted."""
    work = claimed()
    with CaptureQueriesContext(connection) as queries:
        assert progress.end(work, Status.COMPLETE, grown(7, "All of it", 10))
    asked = [each["sql"] for each in queries if not each["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]
    assert len(asked) == 4, asked
    assert sums() == [(1, 10, 7, "complete")]
    one = Usage.objects.get(at__isnull=False)
    assert (one.person, one.token, one.kind, one.model) == (work.owner, 0, CHAT, "usual")


def test_parts_that_were_cut_are_counted_with_the_last_one_once() -> None:
    work = claimed()
    assert messages.put_back(work, grown(5), "one", failed=False)
    again = chat_claims.claim("one", 1)[0]
    assert again.spent == (0, 5)
    meter = Meter(again.spent)
    meter.begin()
    meter.heard(2)
    meter.told(20, 3)
    assert progress.end(again, Status.COMPLETE, ReplyProgress("All", "", measured=meter.read()))
    assert not progress.end(again, Status.COMPLETE, grown(9))
    assert sums() == [(1, 20, 8, "complete")]
    assert row(again).spent_completion == 0, "else it would count again where the reply is continued"


def test_what_a_dead_process_had_saved_is_counted_by_its_heir_alone() -> None:
    frozen = claimed()
    progress.save([(frozen, grown(4))])
    let_holders_die()
    progress.revive()
    heir = chat_claims.claim("heir", 1)[0]
    assert not progress.end(frozen, Status.COMPLETE, grown(9))
    assert progress.end(heir, Status.COMPLETE, ReplyProgress("All", "", measured=Meter(heir.spent).read()))
    assert sums() == [(1, 0, 4, "complete")]


@pytest.mark.parametrize("how", ["stopped in line", "stopped by its reader", "given up", "refused"])
def test_a_reply_that_ends_elsewhere_leaves_what_it_took(how: str) -> None:
    work = claimed()
    ends: dict[str, Callable[[], Any]] = {
        "stopped in line": lambda: (
            messages.put_back(work, grown(6), "one", failed=False),
            replies.stop(work.conversation, work.message),
        ),
        "stopped by its reader": lambda: (
            replies.stop(work.conversation, work.message),
            messages.put_back(work, grown(6), "one", failed=False),
        ),
        "given up": lambda: (
            Message.objects.filter(pk=work.message).update(revivals=progress.MOST_REVIVALS),
            Message.objects.filter(pk=work.message).update(spent_completion=6),
            let_holders_die(),
            progress.revive(),
        ),
        "refused": lambda: progress.refuse(work, "It failed.", Measured(0, 6)),
    }
    ends[how]()
    assert sums() == [(1, 0, 6, "stopped" if how.startswith("stopped") else "failed")]
    assert row(work).spent_completion == 0


def test_a_reply_whose_conversation_was_deleted_meanwhile_counts() -> None:
    work = claimed()
    Conversation.objects.all().delete()
    assert not progress.end(work, Status.STOPPED, grown(6))
    assert sums() == [(1, 0, 6, "stopped")]


def test_a_person_who_is_deleted_leaves_figures() -> None:
    work = claimed()
    progress.end(work, Status.COMPLETE, grown(7))
    User.objects.all().delete()
    assert sums() == [(1, 0, 7, "complete")]


# Calls


def begun() -> tuple[int, int, Arrival]:
    """A call that has its turn: its number, its lease, and how it came."""
    person = User.objects.create(username="mara")
    token = tokens.make(person, "it", ["chat"])[0]
    arrival = Arrival(token.pk, person.pk, "chat/completions", timezone.now())
    claims.beat(ONE)
    (number,), turns = claims.admit(ONE, [arrival])
    assert isinstance(number, int)
    return number, turns[number].lease, arrival


def let_process_die(settings: Any) -> None:
    Process.objects.update(seen_at=timezone.now() - timedelta(seconds=2 * settings.HEARTBEAT_TTL))


def test_calls_that_end_together_are_recorded_with_that() -> None:
    number, lease, _ = begun()
    claims.leave([Left(number, lease, usage=usage(measured=Measured(0, 3)))])
    assert sums() == [], "it waits again"
    for _ in range(2):  # once more, as where the first answer was lost
        claims.leave([Left(number, None, Outcome.DONE, usage=usage()), Left(0, None, Outcome.GONE)])
        assert sums() == [(1, 10, 7, "complete")]


def test_the_calls_of_a_dead_process_leave_what_was_saved_of_them(settings: Any) -> None:
    number, _, arrival = begun()
    claims.beat(ONE, [(number, Measured(0, 5))])
    let_process_die(settings)
    claims.bury({ONE})
    claims.bury({ONE})
    assert sums() == [(1, 0, 5, "failed")]
    assert Usage.objects.get(at=None).token == arrival.token


def test_a_call_that_ends_in_a_process_that_was_only_frozen_adds_the_rest(settings: Any) -> None:
    number, lease, _ = begun()
    claims.beat(ONE, [(number, Measured(0, 5))])
    let_process_die(settings)
    claims.bury({ONE})
    claims.leave([Left(number, lease, Outcome.DONE, usage=usage(measured=Measured(10, 7)))])
    assert sums() == [(1, 0, 5, "failed"), (1, 10, 2, "complete")]


def test_a_call_that_waits_again_after_a_freeze_forgets_what_is_recorded(settings: Any) -> None:
    number, _, arrival = begun()
    claims.beat(ONE, [(number, Measured(0, 5))])
    let_process_die(settings)
    claims.bury({ONE})
    assert claims.again(ONE, number, arrival)[1] == (0, 5)


# Measuring


def test_a_part_counts_what_is_said_of_it_else_its_events() -> None:
    meter = Meter()
    assert not meter.begun
    meter.begin()
    meter.heard(3)
    assert (meter.read().prompt, meter.read().completion) == (0, 3)
    meter.begin()
    meter.heard(2)
    meter.told(30, None)
    assert (meter.read().prompt, meter.read().completion) == (30, 5)
    meter.told(30, 4)
    assert meter.read().completion == 7
    meter.forget(0, 3)
    assert (meter.read().prompt, meter.read().completion) == (30, 4)


def test_the_time_to_the_first_token_is_that_of_the_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.5, 103.0, 104.0, 109.0])
    monkeypatch.setattr("models_admin.usage.meter.time.monotonic", lambda: next(clock))
    meter = Meter()
    meter.begin()
    meter.heard(0)
    meter.heard(1)
    meter.begin()
    meter.heard(1)
    assert (read := meter.read()).first_seconds == 1.5
    assert read.seconds == 9.0


# On PostgreSQL a sum is locked until the transaction ends: nobody may wait for other rows while he holds one.


def locks_sums_last(work: Callable[[], Any], table: str, updates: int) -> bool:
    with CaptureQueriesContext(connection) as queries:
        work()
    asked = [each["sql"] for each in queries]
    written = [number for number, sql in enumerate(asked) if sql.startswith(f'UPDATE "{table}"')]
    recorded = [number for number, sql in enumerate(asked) if "INTO models_admin_usage" in sql]
    return len(written) == updates and len(recorded) == 1 and written[-1] < recorded[0]


def test_many_that_end_without_their_process_are_recorded_after_all_else(settings: Any) -> None:
    settings.REPLIES_PER_USER = 9
    for name in ("mara", "noor"):
        say(name)
    Message.objects.update(origin="")
    assert len(chat_claims.claim("one", 9)) == 2
    Message.objects.filter(claim__isnull=False).update(revivals=progress.MOST_REVIVALS)
    let_holders_die()
    assert locks_sums_last(progress.revive, "chat_message", 4)
    assert len(sums()) == 2


def test_the_calls_of_many_dead_processes_are_recorded_after_all_else(settings: Any) -> None:
    _, _, arrival = begun()
    claims.beat("two/v1")
    claims.admit("two/v1", [arrival])
    let_process_die(settings)
    assert locks_sums_last(lambda: claims.bury({ONE, "two/v1"}), "gateway_call", 1)
    assert [each[0] for each in sums()] == [2]


def test_a_failure_is_summed_with_its_reason_and_a_reply_that_changed_hands_as_such() -> None:
    work = claimed()
    ended = grown(7, "Half of it", 10)
    ended.error, ended.error_kind = "The stream broke.", "stream_cut"
    assert messages.put_back(work, ended, "one", failed=False)
    Message.objects.filter(pk=work.message).update(handovers=[{"model": "another", "upto": 3}])
    again = chat_claims.claim("one", 1)[0]
    assert progress.end(again, Status.FAILED, ended)
    one = Usage.objects.get(at=None)
    assert (one.outcome, one.reason, one.taken_over) == ("failed", "stream_cut", 1)


def test_a_stop_has_no_reason() -> None:
    work = claimed()
    ended = grown(7)
    ended.error_kind = "stream_cut"
    assert progress.end(work, Status.STOPPED, ended)
    assert Usage.objects.get(at=None).reason == ""


def test_sums_count_each_reply_in_a_bucket_of_what_was_measured() -> None:
    record([usage(measured=Measured(10, 7, 0.5, 2.0, 33.0, 300)), usage(measured=Measured(1, 1))])
    record([usage(measured=Measured(10, 7, 0.5, 2.0, 33.0, 900))])
    one = Usage.objects.filter(at=None)
    columns = ("replies", "first_4", "rate_6", "context_1", "context_2", "context_0")
    assert one.values_list(*columns).get() == (3, 2, 2, 1, 1, 0)


def test_the_speed_is_that_of_the_last_part_after_its_first_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("models_admin.usage.meter.time.monotonic", lambda: now[0])
    meter = Meter()
    for first in (5.0, 8.0):
        meter.begin()
        now[0] += first
        meter.heard(5)
        assert meter.read().rate is None
        now[0] += 2
        meter.heard(20)
    assert meter.read().rate == 10.0
    meter.told(100, 45)
    took = meter.read()
    assert (took.rate, took.context, took.first_seconds) == (20.0, 145, 5.0)
    meter.begin()
    meter.heard(2)
    assert (meter.read().rate, meter.read().context) == (None, None)
