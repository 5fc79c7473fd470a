"""Starts the children that serve people anew, one after the other, while the others go on serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.states import ProcessStates

from gantry_site.child_log import Log
from gantry_site.children import Child


class RollingRestart:
    """The next child ends only when the one before serves again: a version that cannot start takes one of them, not all."""

    def __init__(self, listed: Sequence[Child], log: Log) -> None:
        self.serving = [child for child in listed if child.pid_file is not None]
        self.log = log
        self.left: list[Child] = []
        self.old: int | None = (
            None  # the process of the first of those left that has been told to end; None: none has
        )

    def ask(self) -> None:
        """Begin, unless one is under way."""
        self.left = self.left or list(self.serving)

    def turn(self, processes: Mapping[str, Any]) -> None:
        """Take the next step, if there is one; `processes` are Supervisor's, by name. Called a few times a second."""
        if not self.left:
            return
        child = self.left[0]
        process = processes[child.name]
        if self.old is None:
            self.old = process.pid
            self.log.say(f"starting {child.name} anew")
            if process.pid:
                process.stop()
        elif process.get_state() == ProcessStates.STOPPED:
            process.spawn()
        elif process.pid != self.old and child.serves(process.pid):
            self.old = None
            del self.left[0]
            if not self.left:
                self.log.say("all web processes have been started anew")
