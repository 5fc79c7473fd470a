"""Measures a reply through all its parts: a part is what one request to TabbyAPI brings.

A part counts what TabbyAPI's `usage` says. For one that is cut TabbyAPI says nothing: its events are counted, each a token.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What a reply took: tokens, and seconds since TabbyAPI was first asked; `first_seconds` until the first token came."""

    prompt: int = 0
    completion: int = 0
    first_seconds: float | None = None
    seconds: float = 0.0


class Meter:
    """Measures one reply in one process; `before`: the tokens of parts that were measured elsewhere."""

    def __init__(self, before: tuple[int, int] = (0, 0)) -> None:
        self._prompt, self._completion = before
        self._events = 0
        self._told: tuple[int, int] | None = None
        self._begun: float | None = None
        self._first: float | None = None
        self.asked_at: float | None = None  # time.monotonic() of the last part's beginning
        self.heard_at: float | None = None  # time.monotonic() of what came last of it; None: nothing has

    @property
    def begun(self) -> bool:
        """Whether TabbyAPI was asked."""
        return self._begun is not None

    def begin(self) -> None:
        """Begin a part: TabbyAPI is asked now."""
        self._prompt, self._completion = self._tokens()
        self._events, self._told, self.heard_at = 0, None, None
        self.asked_at = time.monotonic()
        if self._begun is None:
            self._begun = self.asked_at

    def heard(self, events: int) -> None:
        """Count events of the reply that came."""
        self._events += events
        if events:
            self.heard_at = time.monotonic()
            if self._first is None and self._begun is not None:
                self._first = self.heard_at - self._begun

    def told(self, prompt: int | None, completion: int | None) -> None:
        """Take what TabbyAPI says of the part; None: it does not say."""
        self._told = (prompt or 0, self._events if completion is None else completion)

    def forget(self, prompt: int, completion: int) -> None:
        """Take away tokens that are recorded already."""
        self._prompt -= prompt
        self._completion -= completion

    def read(self) -> Measured:
        """Return what the reply has taken so far."""
        prompt, completion = self._tokens()
        seconds = 0.0 if self._begun is None else time.monotonic() - self._begun
        return Measured(max(0, prompt), max(0, completion), self._first, seconds)

    def _tokens(self) -> tuple[int, int]:
        prompt, completion = self._told or (0, self._events)
        return self._prompt + prompt, self._completion + completion
