"""Looks at servers for the event loop; many who ask for a look at the same moment share one answer."""

from __future__ import annotations

import asyncio

from models_admin import db_threads
from models_admin.automation import upkeep
from models_admin.servers import known


class Lookers:
    """The looks of one process that are under way, by server."""

    def __init__(self) -> None:
        self._looking: dict[int, asyncio.Task[bool]] = {}

    async def look(self, server: int) -> bool:
        """Ask a server what is loaded, and have that written down; return False if it could not be asked."""
        looking = self._looking.get(server)
        if looking is None or looking.done():
            looking = self._looking[server] = asyncio.create_task(db_threads.ask(upkeep.look, server))
        return await asyncio.shield(looking)

    async def look_at_all(self) -> None:
        """Do the same for all servers, at once: return when the first that answers has."""
        servers = await db_threads.read(known.all_servers)
        looks = [asyncio.create_task(self.look(server)) for server in servers]
        for done in asyncio.as_completed(looks):
            if await done:
                return
