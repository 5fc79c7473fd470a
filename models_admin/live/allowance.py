"""How many frames a page may send: so many a second, over a moment. Who goes on sending beyond that is cut off."""

from __future__ import annotations

import time

from django.conf import settings

FLOODED = 4429  # the code with which a socket is closed on which too much came; pages then wait before they come back
MOST_REFUSED = 100  # frames in a row of refusals, with no pause of QUIET_SECONDS between them
QUIET_SECONDS = 5.0


class Allowance:
    """One page's. FRAMES_PER_SECOND come in a second, and twice as many at once after a pause."""

    def __init__(self) -> None:
        self._left = float(settings.FRAMES_PER_SECOND)
        self._counted_at = time.monotonic()
        self._refused = 0
        self._refused_at = 0.0

    def take(self) -> bool:
        """Count a frame; whether it is allowed."""
        now, most = time.monotonic(), settings.FRAMES_PER_SECOND
        self._left = min(2 * most, self._left + (now - self._counted_at) * most)
        self._counted_at = now
        if self._left >= 1:
            self._left -= 1
            return True
        if now - self._refused_at > QUIET_SECONDS:
            self._refused = 0
        self._refused, self._refused_at = self._refused + 1, now
        return False

    @property
    def flooded(self) -> bool:
        """Whether so many frames have been refused that nobody reads the answers."""
        return self._refused > MOST_REFUSED
