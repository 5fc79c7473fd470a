"""Restarts the web processes one after the other, while the others go on serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.states import ProcessStates

from gantry_site.child_log import Log
from gantry_site.children import Child


class RollingRestart:
    """Ends a child only when the one before serves again: a version that cannot start costs one of them, not all."""

    def __init__(self, listed: Sequence[Child], log: Log) -> None:
        self.serving = [child for child in listed if child.pid_file is not None]
        self.log = log
        self.remaining: list[Child] = []
        # The process that the first of those had when it was told to end; None before that.
        self.old_pid: int | None = None

    def ask(self) -> None:
        """Begin a restart, unless one is under way."""
        self.remaining = self.remaining or list(self.serving)

    def turn(self, processes: Mapping[str, Any]) -> None:
        """Take the next step, if there is one; `processes` are Supervisor's, by name. Called a few times a second."""
        if not self.remaining:
            return
        child = self.remaining[0]
        process = processes[child.name]
        if self.old_pid is None:
            self.old_pid = process.pid
            self.log.say(f"starting {child.name} anew")
            if process.pid:
                process.stop()
        elif process.get_state() == ProcessStates.STOPPED:
            process.spawn()
        elif process.pid != self.old_pid and child.serves(process.pid):
            self.old_pid = None
            del self.remaining[0]
            if not self.remaining:
                self.log.say("all web processes have been started anew")
