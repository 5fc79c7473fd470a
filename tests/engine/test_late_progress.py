"""The progress of a step is not written into the step that follows."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from models_admin.models import Switch
from models_admin.switching import heartbeat, ownership


def test_clearing_waits_for_progress_that_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, cleared = threading.Event(), threading.Event(), threading.Event()

    def beat(switch: Switch, **progress: Any) -> bool:
        if progress:
            begun.set()
            assert go_on.wait(30)
            assert not cleared.is_set(), "the next step has begun"
        return True

    monkeypatch.setattr(ownership, "beat", beat)
    monkeypatch.setattr("models_admin.events.backend_changed", lambda: None)

    def clear(alive: heartbeat.Heartbeat) -> None:
        alive.clear()
        cleared.set()

    with heartbeat.Heartbeat(Switch(pk=1)) as alive:
        alive.show(100, "the last of it")
        assert begun.wait(30)
        clearing = threading.Thread(target=clear, args=(alive,))
        clearing.start()
        assert not cleared.wait(0.3)
        go_on.set()
        assert cleared.wait(30)
        clearing.join()
