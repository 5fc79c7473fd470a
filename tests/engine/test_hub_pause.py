"""How long a web process goes by what it knows, before it looks at the database without an event."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from models_admin.live import hub as live_hub
from models_admin.live.hub import Hub


@pytest.mark.parametrize(
    ("hears", "switch", "insider", "pause"),
    [
        (True, None, False, live_hub.QUIET_SECONDS),
        (False, None, False, live_hub.LOOK_SECONDS),
        (True, {"id": 1}, False, live_hub.LOOK_SECONDS),
        (True, None, True, live_hub.LOOK_SECONDS),
    ],
    ids=["quiet", "redis is away", "a switch is under way", "an administrator looks on"],
)
def test_it_looks_every_second_where_an_event_would_be_missed(
    hears: bool, switch: Any, insider: bool, pause: float
) -> None:
    hub = Hub()
    page: Any = SimpleNamespace(insider=insider)
    hub.sockets = [page]  # type: ignore[assignment]  # it cannot be hashed
    hub.hears = hears
    hub._snapshot = {"switch": switch}  # type: ignore[typeddict-item]
    assert hub._pause() == pause
