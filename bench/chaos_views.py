"""What everybody is shown, held against what is written: differences in words."""

from __future__ import annotations

import uuid
from typing import Any

from bench.chaos_people import OPEN, Page
from bench.chaos_truth import Facts


def backend_complaints(facts: Facts, state: dict[str, Any]) -> list[str]:
    """What Gantry says of TabbyAPI (whose `/sandbox/state` is given) that is not so, or not as it has to be."""
    complaints = []
    if not facts.reachable:
        complaints.append("TabbyAPI is taken to be out of reach")
    if (state["loaded"] or "") != facts.model:
        complaints.append(f"TabbyAPI has {state['loaded']}, Gantry says {facts.model or 'nothing'}")
    if not state["loaded"]:
        complaints.append("no model is loaded")
    if state["phase"] != "idle" or state["queued_loads"] or state["generations"]:
        complaints.append(
            f"TabbyAPI is still busy: {state['phase']}, {len(state['generations'])} generations"
        )
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
    right = {
        "state": "ready" if facts.model else "unloaded",
        "model": facts.model,
        "switch": None,
        "replying": 0,
    }
    wrong = [f"{key} {seen.get(key)!r}" for key, value in right.items() if seen.get(key) != value]
    return [f"a page through {page.web} is shown {', '.join(wrong)}"] if wrong and not facts.running else []
