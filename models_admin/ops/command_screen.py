"""Shows a switch that a command watches: on a terminal, in a pipe, or as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from models_admin.models import RolloutState, State
from models_admin.page_schema import Change

BAR = 24  # characters


class Lines:
    """Shows a switch as lines of JSON, for programs."""

    def __init__(self, out: Any) -> None:
        self.out = out

    def show(self, switch: Change) -> None:
        """Write the state of a switch."""
        self.out.write(json.dumps(switch))
        self.out.flush()

    def finish(self) -> None:
        """Do nothing: no line is left open."""


class Screen:
    """Shows a switch: on a terminal (`rewrite`) the last line is rewritten, elsewhere each line is written once.

    Errors go to `err`.
    """

    def __init__(self, out: Any, err: Any, *, rewrite: bool) -> None:
        self.out = out
        self.err = err
        self.rewrite = rewrite
        self.written: set[str] = set()
        self.open = False  # whether the cursor stands behind an unfinished line

    def show(self, switch: Change) -> None:
        """Show the state of a switch."""
        for text, state in _lines(switch):
            settled = state in ("done", "failed", "note")
            if settled and text not in self.written:
                self._clear()
                (self.err if text.startswith("✗") else self.out).write(text)
                self.written.add(text)
            elif not settled and self.rewrite:
                self._clear()
                self.out.write(f"{text}{_bar(switch)}", ending="")
                self.out.flush()
                self.open = True
            elif not settled and (kind := re.sub(r"\d+", "#", text)) not in self.written:
                words = re.sub(r" \d+%$", "", text)
                self.out.write(words)
                self.written |= {kind, words}

    def finish(self) -> None:
        """End a line that was begun."""
        if self.open:
            self.out.write("")
            self.open = False

    def _clear(self) -> None:
        if self.open:
            self.out.control("\r\033[K")
            self.open = False


def _lines(switch: Change) -> Iterator[tuple[str, str]]:
    for line in switch["lines"]:
        text = "queued: no worker is answering" if "no worker" in line["text"] else line["text"]
        yield text, line["state"]


def _bar(switch: Change) -> str:
    if switch["state"] not in (State.LOADING, State.ROLLING_BACK, RolloutState.RUNNING):
        return ""
    filled = round(BAR * switch["percent"] / 100)
    seconds = switch.get("eta_seconds")
    left = f" about {seconds} s left" if seconds else ""
    return f" [{'█' * filled}{'·' * (BAR - filled)}]{left}"
