"""The rate limit of the frames that a page sends. A page that goes on sending beyond it is cut off."""

from __future__ import annotations

import time

from django.conf import settings

FLOODED = 4429  # the close code for a page that sent too much; pages then wait before they connect again
MOST_REFUSED = 100  # frames, one after the other without a pause of QUIET_SECONDS
QUIET_SECONDS = 5.0


class Allowance:
    """The allowance of one page: FRAMES_PER_SECOND, and twice as many at once after a pause."""

    def __init__(self) -> None:
        self._tokens = float(settings.FRAMES_PER_SECOND)
        self._counted_at = time.monotonic()
        self._refused = 0
        self._refused_at = 0.0

    def take(self) -> bool:
        """Count a frame; return whether it is allowed."""
        now, most = time.monotonic(), settings.FRAMES_PER_SECOND
        self._tokens = min(2 * most, self._tokens + (now - self._counted_at) * most)
        self._counted_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        if now - self._refused_at > QUIET_SECONDS:
            self._refused = 0
        self._refused, self._refused_at = self._refused + 1, now
        return False

    @property
    def flooded(self) -> bool:
        """Whether more than MOST_REFUSED frames in a row have been refused."""
        return self._refused > MOST_REFUSED
