"""What the engine works on: generations and loads, and the phases and errors of its work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .config import ModelSpec
from .faults import Fault


class Phase(StrEnum):
    """What the engine is doing: only when it is idle are generations admitted."""

    IDLE = "idle"
    WAITING = "waiting"  # a load waits for the running generations
    UNLOADING = "unloading"
    LOADING = "loading"


class Busy(Exception):
    """The engine cannot take this now; `status` is what TabbyAPI answers."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class LoadFailed(Exception):
    """A load failed; the message is TabbyAPI's."""


@dataclass(eq=False)
class Generation:
    """A reply that is being generated.

    `aborted` is done when an unload has taken the model away. Until it is `running`, it waits in the server's own queue.
    """

    model: ModelSpec
    aborted: asyncio.Future[None]
    started_at: float = field(default_factory=time.time)
    tokens: int = 0
    running: bool = False


@dataclass(eq=False)
class Load:
    """One load. `events` gets its progress as JSON values, and then None, whether or not anybody reads them.

    `history` has the same events with their times.
    """

    model: ModelSpec
    options: dict[str, Any]
    fault: Fault | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    events: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)
    failed: bool = False

    def emit(self, data: dict[str, Any]) -> None:
        """Add an event."""
        self.history.append({"at": time.time(), "data": data})
        self.events.put_nowait(data)
