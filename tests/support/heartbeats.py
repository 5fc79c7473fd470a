"""The heartbeat of a switch that a test carries out in its own thread."""

from __future__ import annotations

from models_admin.models import Switch
from models_admin.switching import ownership


class StillHeartbeat:
    """A heartbeat without a thread: it looks whether the switch is still this process', and shows nothing."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def check(self) -> None:
        if not ownership.beat(self.switch):
            raise ownership.Lost

    def show(self, percent: int, detail: str) -> None: ...

    def clear(self) -> None: ...

    def watch(self, *args: object) -> None: ...
