"""What a worker looks after every few seconds: switches that nobody carries out, a TabbyAPI that was out of reach."""

from __future__ import annotations

import logging

from models_admin import backend, catalog, events, findings, switching

log = logging.getLogger(__name__)


def look_after() -> None:
    """Hand orphaned switches to a worker, and see whether an unreachable TabbyAPI is back, or its engine has crashed."""
    from models_admin import tasks  # noqa: PLC0415 (tasks leads back here)

    for switch_id in switching.orphans():
        log.warning("Switch %s has no living owner: a worker takes it over", switch_id)
        events.nudge_worker(tasks.run_switch, switch_id)
    row = backend.row()
    busy = switching.active() is not None
    lost = row.unreachable_since is not None and not busy
    if row.seen_at is None or (lost and catalog.look()):
        catalog.refresh()
    if row.unreachable_since is None and not busy and not findings.look_at_health():
        catalog.look()  # it may be out of reach
