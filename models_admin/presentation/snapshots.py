"""Snapshots: what TabbyAPI runs and the switch under way, as one whole that each page is sent."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from models_admin import page_schema, process, statements
from models_admin.models import ENDED, GATED, Server, Source, Switch
from models_admin.page_schema import BackendState
from models_admin.presentation import model_cards, rollout_text, switch_text
from models_admin.servers import loads, machine, state_row, worker_heartbeats
from models_admin.switching import gate

RECENT = timedelta(hours=1)  # for which a switch that has ended is shown


def _state(row: Server, running: Switch | None) -> BackendState:
    if running is not None and running.state in GATED:
        return "switching"
    if row.unreachable_since is not None or row.seen_at is None:
        return "unreachable"
    return "ready" if row.model else "unloaded"


def current(server: int) -> page_schema.Backend:
    """Return the `backend` event: all that a page shows of a server and of the switch under way."""
    # With the server in one statement: what is loaded and which switch loaded it are always of the same moment.
    newest = list(
        Switch.objects.select_related("requested_by", "server")
        .filter(server_id=server)
        .exclude(source=Source.ROLLBACK)[:2]
    )
    running = next((each for each in newest if each.active), None)
    recent = timezone.now() - RECENT
    row = newest[0].server if newest else state_row.row(server)
    ended = next((s for s in newest if s.state in ENDED and (s.finished_at or recent) > recent), None)
    # On a full disk no worker can show that it lives.
    worker = worker_heartbeats.a_worker_is_alive() or machine.is_full()
    replying = gate.in_flight(server)
    return {
        "type": "backend",
        "state": _state(row, running),
        "model": row.model,
        "about": model_cards.about(row.model),
        "loaded_at": switch_text.iso(row.loaded_at),
        "context": row.parameters.get("max_seq_len"),
        "parameters": row.parameters,
        "options": row.options,
        "differences": row.differences,
        "unreachable_since": switch_text.iso(row.unreachable_since),
        "trouble": row.trouble,
        "advice": row.advice,
        "findings": [*machine.as_known(), *row.findings],
        "healthy": not any(each["id"] == "health" for each in row.findings),
        "worker": worker,
        "replying": replying,
        "busy_with": loads.busy_with(server),
        "epoch": row.epoch,
        "switch": switch_text.describe(running, worker=worker, replying=replying) if running else None,
        "last": switch_text.describe(ended, worker=worker, replying=0) if ended else None,
    }


# What current() is made of, as it stands in the tables: the rows, and of the clock who is alive and what ended lately.
MADE_OF = (
    """
    SELECT "models_admin_switch".*, username, finished_at IS NULL OR finished_at > %(recent)s
    FROM models_admin_switch LEFT JOIN auth_user AS person ON person.id = requested_by_id
    WHERE server_id = %(server)s AND NOT ("models_admin_switch"."source" = 'rollback')
    ORDER BY "models_admin_switch".id DESC LIMIT 2
    """,
    "SELECT * FROM models_admin_server WHERE id = %(server)s",
    "SELECT * FROM models_admin_tabbymodel WHERE name = (SELECT model FROM models_admin_server WHERE id = %(server)s)",
    """
    SELECT EXISTS (SELECT 1 FROM models_admin_worker WHERE seen_at >= %(alive)s),
        (SELECT COUNT(*) FROM models_admin_lease WHERE server_id = %(server)s)
    """,
    "SELECT * FROM models_admin_load WHERE ended_at IS NULL AND sent_at > %(lost)s ORDER BY id",
)
Mark = list[object]


def newer(server: int, known: Mark | None) -> tuple[Mark, page_schema.Backend | None]:
    """Return a mark of what current() is made of, and current() itself: None where all is as it was at the mark `known`.

    A mark costs a tenth of the whole. It does not show how the time of a switch under way passes.
    """
    found = mark(server)
    return found, None if found == known else current(server)


def mark(server: int) -> Mark:
    """Return what current() is made of, as it is now."""
    now = timezone.now()
    moments = {"recent": now - RECENT, "alive": process.oldest_alive(), "lost": loads.oldest()}
    params = {"server": server, **{name: statements.stored(moment) for name, moment in moments.items()}}
    return [machine.as_known(), *(statements.fetch(query, params) for query in MADE_OF)]


def public(snapshot: page_schema.Backend) -> page_schema.Backend:
    """Return what people who only chat are shown of a snapshot, as current() returns it, in the same shape.

    Left out are who asked for a switch, what is noted about a model that is not shown in chat, and what concerns
    administrators alone: load options, where TabbyAPI is and what is wrong with it. Why a switch failed is for everybody.
    """
    about = snapshot["about"]
    several: dict[str, object] = {}
    if "servers" in snapshot:
        rollout = snapshot["rollout"]
        several = {
            "servers": [_public(each) for each in snapshot["servers"]],
            "rollout": rollout_text.public(rollout) if rollout else None,
        }
    return {
        **snapshot,
        **several,  # type: ignore[typeddict-item]
        "about": about if about and about["visible"] else None,
        "parameters": {},
        "options": {},
        "differences": [],
        "trouble": "",
        "advice": "",
        "findings": [],
        "switch": switch_text.public(switch) if (switch := snapshot["switch"]) else None,
        "last": switch_text.public(last) if (last := snapshot["last"]) else None,
    }


def _public(server: page_schema.ServerState) -> page_schema.ServerState:
    switch = server["switch"]
    return {**server, "trouble": "", "error": "", "switch": switch_text.public(switch) if switch else None}
