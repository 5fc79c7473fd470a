"""Finds servers that have stalled while they write: the process hangs, the machine is frozen, or the network swallows all.

Nothing ends such a stream for a long time. So where all that a server writes for this process is silent, it is asked whether
it is there, and one that does not answer is out of reach for everybody. Only where there are several servers: what the
stalled one has begun goes on at another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from models_admin import db_threads, events
from models_admin.servers import known, state_row
from models_admin.servers.clients import Clients
from models_admin.tabby.errors import TabbyError
from models_admin.usage.meter import Meter

# Together with a look once a second these leave two of the five seconds within which a reply goes on elsewhere.
SILENT_SECONDS, ANSWER_SECONDS = 1.5, 1.5


class Stalls:
    """The servers that this process has asked whether they are there, because they were silent."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._asking: set[int] = set()

    async def found(self, writing: Iterable[tuple[int, Meter]]) -> set[int]:
        """Return the servers that have stalled, of those that write (each with the meter of what it writes)."""
        if not known.several():
            return set()
        silence: dict[int, float] = {}
        for server, meter in writing:
            silence[server] = min(silence.get(server, meter.silence()), meter.silence())
        silent = {each for each in silence if silence[each] >= SILENT_SECONDS} - self._asking
        self._asking |= silent
        try:
            stalled = await asyncio.gather(*map(self._has_stalled, silent))
        finally:
            self._asking -= silent
        return {server for server, has in zip(silent, stalled, strict=True) if has}

    async def _has_stalled(self, server: int) -> bool:
        try:
            await self._clients.of(server).ping(ANSWER_SECONDS)
        except TabbyError as error:
            await db_threads.write(state_row.set_trouble, server, error)
            events.backend_changed()
            return True
        return False
