"""What everybody is shown, held against what is written: differences in words."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from bench.chaos_people import OPEN, Page
from bench.chaos_truth import Facts, Seen


def backend_complaints(facts: Facts, states: Mapping[str, dict[str, Any]]) -> list[str]:
    """What Gantry says of TabbyAPI that is not so, or not as it has to be; `states`: each sandbox' `/sandbox/state`."""
    if len(facts.servers) != len(states):
        return [f"Gantry knows {len(facts.servers)} servers"]
    return [
        f"{name}: {complaint}"
        for seen, (name, state) in zip(facts.servers, states.items(), strict=True)
        for complaint in _server_complaints(seen, state)
    ]


def _server_complaints(seen: Seen, state: dict[str, Any]) -> list[str]:
    complaints = []
    if not seen.reachable:
        complaints.append("it is taken to be out of reach")
    if (state["loaded"] or "") != seen.model:
        complaints.append(f"it has {state['loaded']}, Gantry says {seen.model or 'nothing'}")
    if not state["loaded"]:
        complaints.append("no model is loaded")
    if state["phase"] != "idle" or state["queued_loads"] or state["generations"]:
        complaints.append(f"it is still busy: {state['phase']}, {len(state['generations'])} generations")
    return complaints


def page_complaints(page: Page, facts: Facts) -> list[str]:
    """What a page shows of its conversation that is not what is written."""
    name = f"the page of {page.conversation[:8]}"
    if not page.connected:
        return [f"{name} is not connected"]
    complaints = [f"{name} has {len(page.outbox)} messages unacknowledged"] if page.outbox else []
    rows = {
        row.pk: row for row in facts.messages if uuid.UUID(row.conversation) == uuid.UUID(page.conversation)
    }
    if missing := set(rows) - set(page.messages):
        complaints.append(f"{name} lacks the messages {sorted(missing)}")
    for pk, row in rows.items():
        shown = page.messages.get(pk)
        if shown is None or row.status in OPEN:
            continue
        for what in ("status", "text", "error", "model", "html"):
            written = getattr(row, what)
            if shown[what] != written and not (what == "html" and not written):
                complaints.append(
                    f"{name} shows another {what} of {pk} ({shown['status']}, {row.status} written)"
                )
                break
    return complaints


def view_complaints(page: Page, facts: Facts) -> list[str]:
    """What a page shows of the model that is not so."""
    if not page.connected:
        return ["a page of the administrator is not connected"] if not page.conversation else []
    seen = page.backend
    models = sorted({each.model for each in facts.servers if each.model}) or [""]
    state = "ready" if models != [""] else "unloaded"
    right = {"state": [state], "model": models, "switch": [None], "replying": [0]}
    wrong = [f"{key} {seen.get(key)!r}" for key, values in right.items() if seen.get(key) not in values]
    shown = [(each["name"], each["model"]) for each in seen.get("servers", [])]
    if shown and shown != [(each.name, each.model) for each in facts.servers]:
        wrong.append(f"servers {shown!r}")
    return [f"a page through {page.web} is shown {', '.join(wrong)}"] if wrong and not facts.running else []
