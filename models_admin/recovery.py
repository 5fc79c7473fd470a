"""What a worker looks after every few seconds: a TabbyAPI that was out of reach."""

from __future__ import annotations

from models_admin import backend, catalog, findings, switching


def look_after() -> None:
    """See whether an unreachable TabbyAPI is back, or its engine has crashed."""
    row = backend.row()
    busy = switching.active() is not None
    lost = row.unreachable_since is not None and not busy
    if row.seen_at is None or (lost and catalog.look()):
        catalog.refresh()
    if row.unreachable_since is None and not busy and not findings.look_at_health():
        catalog.look()  # it may be out of reach
