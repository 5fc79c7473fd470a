"""A few trials of `make chaos`, on the database that this run of the tests is for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.chaos import trials
from bench.chaos_callers import Blow, Call, judge_calls
from bench.chaos_plan import CELLS, Plan, plan
from bench.chaos_table import table
from bench.chaos_truth import Row, Verdict, expected, judge, overlaps

SEED = 20260101
WANTED = (
    ("worker", "kill", "loading"),
    ("web", "kill", "draining"),
    ("sandbox", "freeze", "verifying"),
    ("worker", "freeze", "loading"),
    ("web", "freeze", "idle"),
)
THOUGHT_DEAD = (
    5.0  # seconds: longer than HEARTBEAT_TTL, so that others take over what the frozen one goes on with
)


def _plans() -> list[Plan]:
    run = [plan(SEED, number) for number in range(1, len(CELLS) + 1)]
    wanted = [each for each in run if (each.victim, each.deed, each.step) in WANTED]
    return [
        replace(each, lasting=THOUGHT_DEAD, of_owner=True)
        if each.deed == "freeze" and each.victim in ("web", "worker")
        else each
        for each in wanted
    ]


@pytest.mark.database
async def test_everything_is_right_again_after_each_blow(tmp_path: Path) -> None:
    plans = _plans()
    assert len(plans) == len(WANTED)
    results = await trials(plans, tmp_path, os.environ.get("DATABASE_URL", ""))
    wrong = [[*each.lost, *each.doubled, *each.complaints, each.log] for each in results if not each.good]
    assert not wrong, f"{table(results)}\n{wrong}"
    assert all(each.sent and each.calls for each in results)


@pytest.mark.database
async def test_so_it_is_with_two_servers(tmp_path: Path) -> None:
    run = [plan(SEED, number) for number in range(1, len(CELLS) + 1)]
    plans = [
        replace(each, second=True, of_owner=True)
        for each in run
        if (each.victim, each.deed, each.step)
        in {("sandbox", "kill", "loading"), ("worker", "kill", "draining")}
    ]
    assert len(plans) == 2
    results = await trials(plans, tmp_path, os.environ.get("DATABASE_URL", ""), servers=2)
    wrong = [[*each.lost, *each.doubled, *each.complaints, each.log] for each in results if not each.good]
    assert not wrong, f"{table(results)}\n{wrong}"
    assert all(each.sent and each.calls for each in results)


def test_switches_of_one_server_or_rollout_at_the_same_time_are_seen() -> None:
    one_after_the_other = [(1, 1, 7, 10.0, 20.0), (2, 2, 7, 20.0, 30.0), (3, 1, None, 25.0, None)]
    assert overlaps(one_after_the_other) == []
    assert overlaps([(1, 1, None, 10.0, 20.0), (2, 2, None, 15.0, 30.0)]) == []
    assert overlaps([(1, 1, None, 10.0, 20.0), (2, 1, None, 15.0, 30.0)])
    assert overlaps([(1, 1, 7, 10.0, 20.0), (2, 2, 7, 15.0, 30.0)])
    assert overlaps([(1, 1, 7, 10.0, None), (2, 2, 7, 15.0, 30.0)])


def test_a_seed_gives_the_same_trials_again() -> None:
    assert plan(7, 11) == plan(7, 11)
    assert plan(7, 11) != plan(8, 11)
    assert plan(7, 11).random("user1").random() == plan(7, 11).random("user1").random()


def test_a_run_meets_every_step_with_every_blow() -> None:
    run = [plan(3, number) for number in range(1, len(CELLS) + 1)]
    assert {(each.step, (each.victim, each.deed)) for each in run} == set(CELLS)


def _rows(*replies: tuple[str, str, str]) -> list[Row]:
    """A message "a" and its replies, each (status, text, error)."""
    asked = Row(1, "", None, "user", "complete", "a", "hi", "", "", "")
    return [
        asked,
        *(
            Row(pk, "", 1, "assistant", status, "", text, error, "", "")
            for pk, (status, text, error) in enumerate(replies, start=2)
        ),
    ]


def test_the_judge_sees_what_is_lost_doubled_and_dishonest() -> None:
    whole = expected(3)
    assert whole == " w1 w2 w3"
    right = judge({"a": 3}, _rows(("complete", whole, "")))
    assert (right.answered, right.lost, right.doubled, right.wrong) == (1, [], [], [])
    honest = judge({"a": 3}, _rows(("failed", " w1", "It broke. Try again.")))
    assert (honest.failed, honest.lost, honest.wrong) == (1, [], [])
    assert judge({"a": 3}, []).lost
    assert judge({"a": 3}, _rows()).lost
    assert judge({"a": 3}, _rows(("complete", " w1 w3", ""))).lost
    assert judge({"a": 3}, _rows(("complete", " w1 w2", ""))).lost
    assert judge({"a": 3}, _rows(("failed", " w2", "It broke."))).lost
    assert judge({"a": 3}, _rows(("complete", " w1 w2 w2 w3", ""))).doubled
    assert judge({"a": 3}, _rows(("complete", whole, ""), ("complete", whole, ""))).doubled
    assert judge({"a": 3}, _rows(("failed", "", ""))).wrong
    assert judge({"a": 3}, _rows(("stopped", " w1", ""))).wrong
    assert judge({"a": 3}, _rows(("streaming", " w1", ""))).open
    assert judge({}, _rows(("complete", whole, ""))).wrong


def test_the_judge_sees_what_is_no_comparison() -> None:
    whole = expected(3)
    reply = Row(2, "", 1, "assistant", "complete", "", whole, "", "one", "")
    asked = Row(1, "", None, "user", "complete", "a", "hi", "", "", "")
    comparison = Row(3, "", 1, "assistant", "complete", "", whole, "", "other", "", beside=2)

    def judged(**facts: Any) -> Verdict:
        return judge({"a": 3}, [asked, reply, replace(comparison, **facts)])

    right = judged()
    assert (right.answered, right.compared, right.lost, right.doubled, right.wrong) == (2, 1, [], [], [])
    assert judged(status="awaiting", text="", model="").answered == 1
    assert judged(status="queued").open
    assert judged(model="one").wrong
    assert judged(continued=True).wrong
    assert judged(text=" w1 w3").lost


def _call(**facts: Any) -> Call:
    return replace(Call("a:1", True, 3, begun=10.0, ended=20.0), **facts)


KILL = Blow("kill", "web", "a:1", begun=15.0, ended=17.0)
FAULT = Blow("fault", "fault", on="chat", begun=15.0, ended=17.0)


@pytest.mark.parametrize(
    ("facts", "blow", "good"),
    [
        ({"text": expected(3)}, KILL, True),
        ({"ended": None}, KILL, False),
        ({"wrong": "no text of 3 words"}, KILL, False),
        ({"error": "broken"}, KILL, True),
        ({"error": "broken", "text": " w1 w2"}, KILL, True),
        ({"error": "broken", "text": " w1 w3"}, KILL, False),
        ({"error": "broken"}, replace(KILL, web="b:1"), False),
        ({"error": "broken"}, replace(KILL, deed="freeze"), False),
        ({"error": "broken", "ended": 14.0}, KILL, False),
        ({"error": "broken", "begun": 18.0}, KILL, False),
        ({"error": "stream_error"}, KILL, False),
        ({"error": "stream_error"}, FAULT, True),
        ({"error": "stream_error"}, replace(FAULT, on="load"), False),
        ({"error": "internal"}, FAULT, False),
        ({"error": "stalled"}, Blow("freeze", "sandbox", begun=15.0), True),
        ({"error": "stream_error"}, Blow("freeze", "sandbox", begun=15.0), False),
        ({"error": "stalled"}, Blow("freeze", "worker", begun=15.0), False),
    ],
)
def test_the_judge_of_calls_takes_no_excuse_but_a_blow_that_hit_the_call(
    facts: dict[str, Any], blow: Blow, good: bool
) -> None:
    assert (judge_calls([_call(**facts)], [blow]) == []) is good
