"""A switch in words: the same lines for the admin site, the API, the command and the chat page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from models_admin import page_schema
from models_admin.checks.running import CHECKING
from models_admin.models import ENDED, Source, State, Switch, Verdict
from models_admin.page_schema import Line, LineState
from models_admin.presentation import estimates
from models_admin.servers import differences, known
from models_admin.servers.loads import BUSY, JOINED
from models_admin.switching.transitions import GOING_BACK, ROLLBACK_FAILED

SLOW = (
    "Loading takes longer than usual. The model may be too big for the GPU's memory, so that part of it runs on the CPU, "
    "or its files are on a hard disk or a network drive. A smaller quantization, an SSD or a local copy helps."
)
UNANSWERED = ("unreachable", "timed_out", "key_refused")  # errors that say nothing of what is loaded
WORKING = (State.UNLOADING, State.LOADING, State.VERIFYING)


def iso(moment: datetime | None) -> str | None:
    """Return a time as ISO 8601 text."""
    return moment.isoformat() if moment else None


def describe(switch: Switch, *, worker: bool, replying: int) -> page_schema.Switch:
    """Return `switch` as pages and API show it; `worker`: one is alive; `replying`: how many generations are in flight."""
    now = timezone.now()
    in_state = (now - switch.state_since).total_seconds()
    end = switch.finished_at or now
    unloads = 1 if switch.previous else 0
    outcomes = tried(switch) if switch.tries else []
    described: page_schema.Switch = {
        "id": switch.pk,
        "kind": "switch" if switch.target else "unload",
        "state": State(switch.state),
        "target": switch.target,
        "previous": switch.previous,
        "step": unloads + 1
        if switch.target and switch.state not in (State.QUEUED, State.DRAINING, State.UNLOADING)
        else 1,
        "steps": unloads + 1 if switch.target else 1,
        "percent": switch.percent,
        "detail": switch.detail,
        "eta_seconds": estimates.remaining(switch, in_state) if switch.active else None,
        "elapsed_seconds": round((end - (switch.started_at or switch.created_at)).total_seconds(), 1),
        "by": switch.requested_by.get_username() if switch.requested_by else "",
        "source": Source(switch.source),
        "rule": switch.rule,
        "error": switch.error,
        "error_kind": switch.error_kind,
        "advice": switch.advice or (SLOW if estimates.slow(switch, in_state) else ""),
        "result": switch.result,
        "standing": standing(switch),
        "cancel_requested": switch.cancel_requested is not None,
        "force": switch.force,
        "skip_checks": switch.skip_checks,
        "file_notes": switch.file_notes,
        "replies_cut": switch.replies_cut,
        "seconds": switch.seconds,
        "options": switch.options,
        "parameters": switch.card,
        "differences": switch.differences,
        "created_at": switch.created_at.isoformat(),
        "finished_at": iso(switch.finished_at),
        "lines": _lines(switch, worker=worker, replying=replying, in_state=in_state, outcomes=outcomes),
    }
    if switch.tries:
        described["tried"] = outcomes
    if known.several():
        described["server"], described["rollout"] = known.name(switch.server_id), switch.rollout_id
    return described


def public(switch: page_schema.Switch) -> page_schema.Switch:
    """Return describe() as people who only chat are shown it: without who asked for it, and without load options."""
    shown: page_schema.Switch = {
        **switch,
        "by": "",
        "rule": "",
        "advice": "",
        "options": {},
        "parameters": {},
        "differences": [],
        "file_notes": [],
        "lines": [line for line in switch["lines"] if line["state"] != "note"],
    }
    if "tried" in shown:
        shown["tried"] = []
    return shown


def tried(switch: Switch) -> list[page_schema.CheckOutcome]:
    """Return what came of the checks of a switch that tries its target out."""
    run = switch.check_runs.first()
    return [
        {"name": each.name, "verdict": Verdict(each.verdict), "why": each.why}
        for each in (run.results.all() if run else ())
    ]


def held(outcomes: Sequence[page_schema.CheckOutcome]) -> str:
    """Return in words how many checks of a try held, and which failed."""
    if not outcomes:
        return "no check was run"
    failed = [each["name"] for each in outcomes if each["verdict"] == Verdict.FAILED]
    passed = sum(each["verdict"] == Verdict.PASSED for each in outcomes)
    words = f"{passed} of {len(outcomes)} checks held"
    return f"{words}; failed: {', '.join(failed)}" if failed else words


def _line(text: str, state: LineState) -> Line:
    return {"text": text, "state": state}


def _lines(
    switch: Switch,
    *,
    worker: bool,
    replying: int,
    in_state: float,
    outcomes: Sequence[page_schema.CheckOutcome],
) -> list[Line]:
    if switch.state == State.QUEUED:
        return [_line("Queued: starting…" if worker else "Queued: no worker is answering", "waiting")]
    if switch.state == State.DRAINING:
        left = max(0, round(switch.drain_seconds - in_state))
        replies = "1 reply" if replying == 1 else f"{replying} replies"
        cut = switch.let_go_at is not None
        text = f"Asking {replies} to pause…" if cut else f"Waiting for {replies} to finish ({left} s left)"
        return [_line(text if replying else "Closing the gate…", "waiting")]
    notes = [_line(text, "note") for text in [*switch.file_notes, *differences.sentences(switch.differences)]]
    silent = switch.active and switch.detail.startswith((JOINED, BUSY))
    waits = [_line(switch.detail, "waiting")] if silent else []
    ending = _ending_of_a_try(switch, held(outcomes)) if _was_tried(switch) else _ending(switch)
    return [*_steps(switch), *ending, *waits, *notes]


def outside(switch: Switch) -> str:
    """Return in words what somebody else has changed."""
    how = f" with other parameters ({switch.detail})" if switch.detail else ""
    if not switch.target:
        what = f"{switch.previous} was unloaded"
    elif switch.target == switch.previous:
        what = f"{switch.target} was loaded again{how}"
    else:
        what = f"{switch.target} was loaded"
    return f"{what} by somebody else, not through Gantry"


def _steps(switch: Switch) -> list[Line]:
    """Return the lines of the steps begun so far."""
    at = switch.state if switch.state in WORKING else None
    begun = [step for step in WORKING if step == at or step in switch.seconds]
    cancelled = switch.error_kind == "cancelled"
    if cancelled:  # the target is not asked for an answer any more
        begun = [step for step in begun if step != State.VERIFYING]
    ends_badly = at is None and switch.state != State.SUCCEEDED and not cancelled and not _was_tried(switch)
    failed = begun[-1] if begun and ends_badly else None
    lines: list[Line] = []
    for step in begun:
        running = step == at
        state: LineState = "running" if running else "failed" if step == failed else "done"
        percent = 100 if state == "done" else switch.percent if running else 0
        shown = f" {percent}%" if state == "done" or (running and step == State.LOADING) else ""
        if step == State.UNLOADING and switch.previous:
            lines.append(_line(f"Step 1: Unloading current model…{shown}", state))
        elif step == State.LOADING:
            to_try = " to try it out" if switch.tries else ""
            words = f"Step {2 if switch.previous else 1}: Loading {switch.target}{to_try}…{shown}"
            lines.append(_line(words, state))
        elif step == State.VERIFYING and switch.target and state != "done":
            _, _, so_far = switch.detail.partition(CHECKING) if running else ("", "", "")
            lines.append(_line(f"Checking that {switch.target} answers… {so_far}".rstrip(), state))
    return lines


def _ending(switch: Switch) -> list[Line]:
    if switch.source == Source.OUTSIDE:
        return [_line(outside(switch), "done")]
    if switch.source == Source.LATE:
        what = f"{switch.target} was loaded" if switch.target else f"{switch.previous} was unloaded"
        words = f"{what} after all: switch {switch.cause_id} had asked for it, and had given it up"
        return [_line(words, "done")]
    if switch.state == State.SUCCEEDED:
        return [_line(f"✓ Model {'switched' if switch.target else 'unloaded'} successfully!", "done")]
    if switch.state == State.ROLLING_BACK:
        return [_line(f"✗ {switch.error}", "failed"), _line(f"Rolling back: {_way_back(switch)}", "running")]
    if switch.state not in ENDED:
        return []
    late = [_line(switch.detail, "waiting")] if switch.detail else []
    return [_line(f"✗ {switch.error}", "failed"), _standing(switch), *late]


def _was_tried(switch: Switch) -> bool:
    """Whether nothing has gone wrong with a try so far, but perhaps its way back."""
    return switch.tries and (not switch.error or switch.error.startswith(GOING_BACK))


def _ending_of_a_try(switch: Switch, came: str) -> list[Line]:
    """Return the lines of a try from its way back on, with what came of its checks; nothing else has failed before that."""
    if switch.state == State.ROLLING_BACK:
        return [_line(f"Tried: {came}", "done"), _line(f"Going back: {_way_back(switch)}", "running")]
    if switch.state not in ENDED:
        return []
    if switch.error:
        return [_line(f"Tried: {came}", "done"), *_ending(switch)]
    return [_line(f"✓ {switch.target} was tried: {came}", "done"), _standing(switch)]


def _way_back(switch: Switch) -> str:
    return f"loading {switch.previous} again… {switch.percent}%" if switch.previous else "unloading…"


def standing(switch: Switch) -> str:
    """Return in a sentence what was loaded when the switch ended; '' while it runs.

    “No model is loaded” is said only where TabbyAPI has said so.
    """
    if switch.state not in ENDED:
        return ""
    if switch.result is None:
        return "Whether a model is loaded is not known, because TabbyAPI does not answer."
    if switch.error_kind in UNANSWERED and State.ROLLING_BACK not in switch.seconds:
        return f"{switch.result or 'No model'} was loaded when TabbyAPI last answered."
    return f"{switch.result or 'No model'} is loaded now."


def _standing(switch: Switch) -> Line:
    """Return the same as the last line of a switch that did not succeed."""
    words = standing(switch).removesuffix(".")
    if not words.endswith("now"):
        return _line(words, "waiting")
    if not switch.result:
        return _line(words, "failed")
    if ROLLBACK_FAILED in switch.error or switch.error.startswith(GOING_BACK):
        return _line(words, "waiting")
    if switch.tries and not switch.error:
        return _line(words, "done")
    if State.ROLLING_BACK in switch.seconds and switch.result == switch.previous:
        return _line(f"Rolled back: {switch.result} is loaded again", "done")
    return _line(words, "done")
