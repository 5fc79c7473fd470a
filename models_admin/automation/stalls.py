"""Finds servers that have stalled while they write: the process hangs, the machine is frozen, or the network swallows all.

Nothing ends such a stream for a long time. So where all that a server writes for this process is silent, it is asked whether
it is there, and one that does not answer is out of reach for everybody. Only where there are several servers: what the
stalled one has begun goes on at another.
"""

from __future__ import annotations

import asyncio
import time
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
        self._asking: dict[int, asyncio.Task[bool]] = {}

    async def found(self, writing: Iterable[tuple[int, Meter]]) -> set[int]:
        """Return the servers that have stalled, of those that write (each with the meter of what it writes)."""
        if not known.several():
            return set()
        silent = _silent(writing) - self._asking.keys()
        stalled = await asyncio.gather(*map(self.has_stalled, silent))
        return {server for server, has in zip(silent, stalled, strict=True) if has}

    async def has_stalled(self, server: int) -> bool:
        """Ask a server of several whether it is there, and write that it is out of reach where it is not.

        Those who ask at the same time share one answer. The only server never has: there is no other to go to.
        """
        if not known.several():
            return False
        asking = self._asking.get(server)
        if asking is None:
            asking = self._asking[server] = asyncio.create_task(self._ask(server))
            asking.add_done_callback(lambda _: self._asking.pop(server, None))
        return await asyncio.shield(asking)

    async def _ask(self, server: int) -> bool:
        try:
            await self._clients.of(server).ping(ANSWER_SECONDS)
        except TabbyError as error:
            await db_threads.write(state_row.set_trouble, server, error)
            events.backend_changed()
            return True
        return False


def _silent(writing: Iterable[tuple[int, Meter]]) -> set[int]:
    """Return the servers of which nothing was heard for SILENT_SECONDS; where nothing ever was, since the first was asked.

    What was asked of a server since says nothing: where many ask, that is never long ago.
    """
    asked: dict[int, float] = {}
    heard: dict[int, float] = {}
    for server, meter in writing:
        if meter.asked_at is not None:
            asked[server] = min(asked.get(server, meter.asked_at), meter.asked_at)
        if meter.heard_at is not None:
            heard[server] = max(heard.get(server, meter.heard_at), meter.heard_at)
    latest = time.monotonic() - SILENT_SECONDS
    return {server for server in asked if heard.get(server, asked[server]) <= latest}
