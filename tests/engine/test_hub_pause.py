"""How long a web process goes by what it knows, before it looks at the database without an event."""

from __future__ import annotations

from typing import Any

import pytest

from models_admin.live import hub as live_hub
from models_admin.live.hub import Hub


@pytest.mark.parametrize(
    ("hears", "switch", "pause"),
    [
        (True, None, live_hub.QUIET_SECONDS),
        (False, None, live_hub.LOOK_SECONDS),
        (True, {"id": 1}, live_hub.LOOK_SECONDS),
    ],
    ids=["quiet", "redis is away", "a switch is under way"],
)
def test_it_looks_every_second_where_an_event_would_be_missed(hears: bool, switch: Any, pause: float) -> None:
    hub = Hub()
    hub.hears = hears
    hub._snapshot = {"switch": switch}  # type: ignore[typeddict-item]
    assert hub._pause() == pause
