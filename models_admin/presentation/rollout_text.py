"""A rollout in words: one percentage, and a line for each server."""

from __future__ import annotations

from models_admin import page_schema
from models_admin.models import Rollout, RolloutState, Source, State, Switch
from models_admin.page_schema import Line, LineState
from models_admin.presentation import switch_text
from models_admin.servers import known

# How far a switch is in each step, and how much of the whole the step is: most of the time goes into the load.
SHARES = {State.UNLOADING: (2, 8), State.LOADING: (10, 85), State.VERIFYING: (97, 0)}
WORDS = {
    State.QUEUED: "starting…",
    State.DRAINING: "its replies finish, or go on elsewhere…",
    State.UNLOADING: "unloading {previous}…",
    State.VERIFYING: "checking that {target} answers…",
    State.ROLLING_BACK: "going back to {previous}…",
}


def running() -> page_schema.Rollout | None:
    """Return the rollout that is under way; None if there is none."""
    row = Rollout.objects.select_related("requested_by").filter(state=RolloutState.RUNNING).first()
    return describe(row) if row else None


def public(rollout: page_schema.Rollout) -> page_schema.Rollout:
    """Return describe() as people who only chat are shown it: without who asked for it."""
    return {**rollout, "by": "", "rule": ""}


def describe(row: Rollout) -> page_schema.Rollout:
    """Return a rollout as the API, the command and pages show it."""
    switches = list(row.switches.exclude(source=Source.ROLLBACK).order_by("pk"))
    latest = {each.server_id: each for each in switches}
    parts = [_part(row, server, latest.get(server)) for server in row.servers]
    running = row.state == RolloutState.RUNNING
    return {
        "id": row.pk,
        "state": RolloutState(row.state),
        "target": row.target,
        "percent": sum(each["percent"] for each in parts) // max(len(parts), 1),
        "servers": parts,
        "by": row.requested_by.get_username() if row.requested_by else "",
        "source": Source(row.source),
        "rule": row.rule,
        "error": row.error,
        "cancel_requested": row.cancel_requested is not None,
        "created_at": row.created_at.isoformat(),
        "finished_at": switch_text.iso(row.finished_at),
        "lines": [*(_line(each) for each in parts), *([] if running else [_ending(row)])],
    }


def _part(row: Rollout, server: int, switch: Switch | None) -> page_schema.RolloutServer:
    name = known.name(server) or f"server {server}"
    if switch is None:
        waits = "waits for its turn" if row.state == RolloutState.RUNNING else "was not touched"
        return {"name": name, "state": "waiting", "percent": 0, "switch": None, "text": waits}
    state = State(switch.state)
    text = WORDS.get(state, "").format(previous=switch.previous or "nothing", target=switch.target)
    percent = 0
    if state == State.SUCCEEDED:
        percent, text = 100, f"{switch.target} is loaded" if switch.target else "unloaded"
    elif state == State.LOADING:
        text = f"loading {switch.target}… {switch.percent}%"
    elif not switch.active:
        text = switch.error
    if state in SHARES:
        start, share = SHARES[state]
        percent = start + share * switch.percent // 100
    return {"name": name, "state": state, "percent": percent, "switch": switch.pk, "text": text}


def _line(part: page_schema.RolloutServer) -> Line:
    states: dict[str, LineState] = {
        "waiting": "waiting",
        State.SUCCEEDED: "done",
        State.FAILED: "failed",
        State.CANCELLED: "failed",
    }
    state = states.get(part["state"], "running")
    sign = {"done": "✓ ", "failed": "✗ "}.get(state, "")
    return {"text": f"{sign}{part['name']}: {part['text']}", "state": state}


def _ending(row: Rollout) -> Line:
    if row.state == RolloutState.SUCCEEDED:
        return {"text": f"✓ Model {'switched' if row.target else 'unloaded'} successfully!", "state": "done"}
    what = "Cancelled" if row.state == RolloutState.CANCELLED else "Ended"
    return {"text": f"✗ {what}: the other servers were not touched.", "state": "failed"}
