"""The clients of one event loop: one for each server, made when it is first needed."""

from __future__ import annotations

from models_admin.servers import connections
from models_admin.tabby.aclient import AsyncTabby


class Clients:
    """Clients by server."""

    def __init__(self) -> None:
        self._made: dict[int, AsyncTabby] = {}

    def of(self, server: int) -> AsyncTabby:
        """Return the client of a server."""
        if (found := self._made.get(server)) is None:
            found = self._made[server] = connections.async_client(server)
        return found

    async def aclose(self) -> None:
        """End all sessions, and with them every stream that is still open."""
        for each in self._made.values():
            await each.aclose()
