"""The bodies of the calls that this process has open: together they have a bound, whoever sends them."""

from __future__ import annotations

from django.conf import settings

from gateway.errors import LIMITED, Refused


class Bodies:
    """Counts their bytes."""

    def __init__(self) -> None:
        self._held = 0

    def keep(self, size: int) -> None:
        """Count so many bytes more. Raises Refused (429) where there is no room for them beside those of others."""
        if self._held and self._held + size > settings.GATEWAY_BODIES_MB * 2**20:
            raise Refused(
                429,
                "too_many_calls",
                "The calls that wait here already are too large for another one. Try again when some have been answered.",
                kind=LIMITED,
                retry_after=5,
            )
        self._held += size

    def let_go(self, size: int) -> None:
        """Count so many bytes less."""
        self._held -= size


bodies = Bodies()
