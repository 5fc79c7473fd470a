"""The snapshot of all servers: of the only one, or of several as a whole, with each of them in it."""

from __future__ import annotations

from collections.abc import Iterable

from models_admin import page_schema, statements
from models_admin.models import Server, State
from models_admin.page_schema import BackendState
from models_admin.presentation import rollout_text, snapshots, switch_text
from models_admin.servers import known, machine
from models_admin.servers import team as servers_team

ROLLOUT = "SELECT * FROM models_admin_rollout WHERE state = 'running'"
STATES: tuple[BackendState, ...] = ("ready", "switching", "unloaded", "unreachable")  # the best first


def current() -> page_schema.Backend:
    """Return the `backend` event: of the only server, or of several as a whole, with each in `servers`."""
    rows = servers_team.rows()
    if not known.several():
        return snapshots.current(rows[0].pk)
    parts = [(row, snapshots.current(row.pk)) for row in rows]
    shown = [_shown(row, part) for row, part in parts]
    serving = [part for row, part in parts if part["state"] == "ready" and row.out_of_service_since is None]
    model = servers_team.of(rows, [part["model"] for part in serving])
    lead = next((part for part in serving if part["model"] == model), None) or _first_of_none(parts)
    findings = [
        {**found, "title": f"{row.name}: {found['title']}"} for row, _ in parts for found in row.findings
    ]
    return {
        **lead,
        "findings": [*machine.as_known(), *findings],  # type: ignore[list-item]
        "replying": sum(each["replying"] for each in shown),
        "epoch": sum(each["epoch"] for each in shown),
        "switch": next((each["switch"] for each in shown if each["switch"]), None),
        "last": max(
            (part["last"] for _, part in parts if part["last"]), key=lambda last: last["id"], default=None
        ),
        "servers": shown,
        "rollout": rollout_text.running(),
    }


def _first_of_none(parts: list[tuple[Server, page_schema.Backend]]) -> page_schema.Backend:
    """Return what describes the team where no server can answer: the best one, in service if any is."""
    in_service = [part for row, part in parts if row.out_of_service_since is None]
    if in_service:
        return min(in_service, key=lambda part: STATES.index(part["state"]))
    return {
        **parts[0][1],
        "state": "unloaded",
        "model": "",
        "about": None,
        "loaded_at": None,
        "context": None,
    }


def newer(before: snapshots.Mark | None) -> tuple[snapshots.Mark, page_schema.Backend | None]:
    """Return a mark of what current() is made of, and current() itself: None where all is as it was at the mark `before`."""
    servers = known.all_servers()
    if not known.several():
        return snapshots.newer(servers[0], before)
    found: snapshots.Mark = [*map(snapshots.mark, servers), statements.fetch(ROLLOUT, [])]
    return found, None if found == before else current()


def each(rows: Iterable[Server]) -> list[page_schema.ServerState]:
    """Return servers as they are now, by their rows; the only one too, whose name is ''."""
    return [_shown(row, snapshots.current(row.pk)) for row in rows]


def _shown(row: Server, part: page_schema.Backend) -> page_schema.ServerState:
    return {
        "id": row.pk,
        "name": row.name,
        "state": part["state"],
        "model": part["model"],
        "loaded_at": part["loaded_at"],
        "context": part["context"],
        "replying": part["replying"],
        "epoch": part["epoch"],
        "healthy": part["healthy"],
        "unreachable_since": part["unreachable_since"],
        "trouble": part["trouble"],
        "out_of_service_since": switch_text.iso(row.out_of_service_since),
        "switch": part["switch"],
        "error": _error(row, part),
    }


def _error(row: Server, part: page_schema.Backend) -> str:
    """Return what is wrong with a server now, or why its last switch failed, if that was lately; '' if nothing."""
    if part["unreachable_since"]:
        return part["trouble"]
    if found := next((each for each in row.findings if each["level"] == "error"), None):
        return f"{found['title']}. {found['detail']}".strip()
    last = part["last"]
    return f"The last switch failed: {last['error']}" if last and last["state"] == State.FAILED else ""


def epochs(snapshot: page_schema.Backend) -> dict[int, int]:
    """Return the epoch of each server."""
    if (servers := snapshot.get("servers")) is None:
        return {known.default(): snapshot["epoch"]}
    return {each["id"]: each["epoch"] for each in servers}


def first_reached(snapshot: page_schema.Backend) -> int:
    """Return the first server that can be reached; the first of all where none can."""
    reached = (each["id"] for each in snapshot.get("servers", []) if each["state"] != "unreachable")
    return next(reached, None) or known.default()
