"""How long a switch will take, and the lines in which it is told."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from support.servers import SERVER

from models_admin.models import Source, State, Switch
from models_admin.presentation import estimates, switch_text
from models_admin.servers import state_row
from models_admin.switching import transitions

pytestmark = pytest.mark.django_db


def row(state: State, **facts: Any) -> Switch:
    now = timezone.now()
    usual: dict[str, Any] = {
        "server": state_row.row(SERVER),
        "target": "new-7B",
        "previous": "old-7B",
        "source": Source.API,
        "drain_seconds": 20,
    }
    return Switch.objects.create(**{**usual, "state": state, "started_at": now, "state_since": now, **facts})


def lines(switch: Switch, *, worker: bool = True, replying: int = 0) -> list[str]:
    return [line["text"] for line in switch_text.describe(switch, worker=worker, replying=replying)["lines"]]


@pytest.mark.parametrize(
    ("name", "seconds"), [("a-3B", 7.5), ("a-7B", 20), ("a-13B", 45), ("a-70B", 90), ("a", 20)]
)
def test_without_a_past_the_usual_times_are_expected(name: str, seconds: float) -> None:
    assert estimates.load_seconds(SERVER, name) == seconds


def test_a_models_own_past_is_expected_of_it() -> None:
    for seconds in (10, 12, 50):
        row(State.SUCCEEDED, seconds={"loading": seconds})
    row(State.FAILED, seconds={"loading": 500})
    assert estimates.load_seconds(SERVER, "new-7B") == 12


def test_the_steps_are_told_as_users_were_promised() -> None:
    assert lines(row(State.UNLOADING)) == ["Step 1: Unloading current model…"]
    Switch.objects.all().delete()
    assert lines(row(State.LOADING, percent=57, seconds={"unloading": 1})) == [
        "Step 1: Unloading current model… 100%",
        "Step 2: Loading new-7B… 57%",
    ]
    assert lines(row(State.SUCCEEDED, seconds={"unloading": 1, "loading": 2, "verifying": 0.1})) == [
        "Step 1: Unloading current model… 100%",
        "Step 2: Loading new-7B… 100%",
        "✓ Model switched successfully!",
    ]


def test_with_nothing_to_unload_loading_is_the_first_step() -> None:
    assert lines(row(State.LOADING, previous="", percent=3, seconds={"unloading": 0})) == [
        "Step 1: Loading new-7B… 3%"
    ]


def test_waiting_says_for_what() -> None:
    switch = row(State.DRAINING)
    assert lines(switch, replying=3) == ["Waiting for 3 replies to finish (20 s left)"]
    assert lines(switch, replying=1) == ["Waiting for 1 reply to finish (20 s left)"]
    switch.state = State.QUEUED
    assert lines(switch, worker=False) == ["Queued: no worker is answering"]


def test_a_failure_says_what_is_loaded_now() -> None:
    begun = {"unloading": 1, "loading": 2, "rolling_back": 3}
    assert lines(row(State.FAILED, error="Too big.", result="old-7B", seconds=begun))[-2:] == [
        "✗ Too big.",
        "Rolled back: old-7B is loaded again",
    ]
    assert (
        lines(row(State.FAILED, error="Too big.", result="", seconds=begun))[-1] == "No model is loaded now"
    )
    assert lines(row(State.FAILED, error="Out of reach.", result="old-7B"))[-1] == "old-7B is loaded now"


def test_a_change_from_outside_is_not_told_as_a_success_of_gantry() -> None:
    assert lines(row(State.SUCCEEDED, source=Source.OUTSIDE)) == [
        "new-7B was loaded by somebody else, not through Gantry"
    ]


def test_a_way_back_that_failed_is_not_told_as_one_that_worked() -> None:
    error = f"It does not fit. Going back to old-7B {transitions.ROLLBACK_FAILED} it does not answer."
    facts = {"seconds": {"unloading": 1, "loading": 2, "rolling_back": 3}, "result": "old-7B", "error": error}
    assert lines(row(State.FAILED, **facts))[-1] == "old-7B is loaded now"
    Switch.objects.all().delete()
    assert lines(row(State.FAILED, **{**facts, "error": "It does not fit."}))[-1] == (
        "Rolled back: old-7B is loaded again"
    )
    Switch.objects.all().delete()
    of_a_try = {
        **facts,
        "tries": True,
        "error": f"{transitions.GOING_BACK}old-7B failed: it does not answer.",
    }
    assert lines(row(State.FAILED, **of_a_try))[-1] == "old-7B is loaded now"


def test_what_was_loaded_is_not_told_as_loaded_where_nobody_answered() -> None:
    unreachable = row(
        State.FAILED, result="old-7B", error="TabbyAPI cannot be reached.", error_kind="unreachable"
    )
    assert lines(unreachable)[-1] == "old-7B was loaded when TabbyAPI last answered"
    assert switch_text.standing(unreachable) == "old-7B was loaded when TabbyAPI last answered."


def test_that_nothing_is_loaded_is_said_only_where_tabbyapi_has_said_so() -> None:
    nobody = {"error": "TabbyAPI cannot be reached.", "error_kind": "unreachable"}
    assert switch_text.standing(row(State.FAILED, result="", **nobody)) == (
        "No model was loaded when TabbyAPI last answered."
    )
    Switch.objects.all().delete()
    back = {"unloading": 1, "loading": 2, "rolling_back": 3}
    assert switch_text.standing(row(State.FAILED, result=None, seconds=back, **nobody)) == (
        "Whether a model is loaded is not known, because TabbyAPI does not answer."
    )
    Switch.objects.all().delete()
    assert (
        switch_text.standing(row(State.FAILED, result="", seconds=back, **nobody))
        == "No model is loaded now."
    )
    Switch.objects.all().delete()
    assert switch_text.standing(row(State.LOADING)) == ""


def test_a_cancelled_load_shows_no_check_that_was_not_made() -> None:
    seconds = {"unloading": 1, "loading": 2, "verifying": 0.01}
    facts = {"error": "Cancelled by ann.", "error_kind": "cancelled", "percent": 40, "seconds": seconds}
    told = switch_text.describe(row(State.ROLLING_BACK, **facts), worker=True, replying=0)["lines"]
    assert [(each["text"], each["state"]) for each in told] == [
        ("Step 1: Unloading current model… 100%", "done"),
        ("Step 2: Loading new-7B… 100%", "done"),
        ("✗ Cancelled by ann.", "failed"),
        ("Rolling back: loading old-7B again… 40%", "running"),
    ]
