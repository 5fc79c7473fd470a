"""Measures a reply through all its parts: a part is what one request to TabbyAPI brings.

A part counts what TabbyAPI's `usage` says. For one that is cut TabbyAPI says nothing: its events are counted, each a token.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What a reply took: tokens, and seconds since TabbyAPI was first asked; `first_seconds` until the first token came.

    Of its last part: `rate`, the tokens a second after the first ones, and `context`, the tokens of prompt and answer.
    None is what is not known.
    """

    prompt: int = 0
    completion: int = 0
    first_seconds: float | None = None
    seconds: float = 0.0
    rate: float | None = None
    context: int | None = None


FEWEST = 10  # tokens after the first ones, of which a speed can be told


class Meter:
    """Measures one reply in one process; `before`: the tokens of parts that were measured elsewhere."""

    def __init__(self, before: tuple[int, int] = (0, 0)) -> None:
        self._prompt, self._completion = before
        self._events = 0
        self._told: tuple[int, int] | None = None
        self._begun: float | None = None
        self._first: float | None = None
        self._part: tuple[float, int] | None = None  # when the part's first events came, and how many
        self.asked_at: float | None = None  # time.monotonic() of the last part's beginning
        self.heard_at: float | None = None  # time.monotonic() of what came last of it; None: nothing has

    @property
    def begun(self) -> bool:
        """Whether TabbyAPI was asked."""
        return self._begun is not None

    def begin(self) -> None:
        """Begin a part: TabbyAPI is asked now."""
        self._prompt, self._completion = self._tokens()
        self._events, self._told, self._part, self.heard_at = 0, None, None, None
        self.asked_at = time.monotonic()
        if self._begun is None:
            self._begun = self.asked_at

    def heard(self, events: int) -> None:
        """Count events of the reply that came."""
        self._events += events
        if events:
            self.heard_at = time.monotonic()
            self._part = self._part or (self.heard_at, events)
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
        context = sum(self._told) if self._told else None
        return Measured(
            max(0, prompt), max(0, completion), self._first, seconds, self._rate(), context or None
        )

    def _rate(self) -> float | None:
        """Return the tokens a second of the part, of those that came after the first ones."""
        if self._part is None or self.heard_at is None:
            return None
        begun, first = self._part
        tokens, seconds = (self._told[1] if self._told else self._events) - first, self.heard_at - begun
        return tokens / seconds if tokens >= FEWEST and seconds > 0 else None

    def _tokens(self) -> tuple[int, int]:
        prompt, completion = self._told or (0, self._events)
        return self._prompt + prompt, self._completion + completion
