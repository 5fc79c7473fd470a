"""How a reply ends: completed, stopped, failed in words for its reader, or back in line to be gone on with.

Each end is written however long the database is away, because what the reply has come to is only here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from django.db import DatabaseError

from chat import progress
from chat.models import Status
from chat.progress import ClaimedReply, Unfinished
from chat.relay import EndReason, LiveReply
from models_admin import counters, db_threads, process
from models_admin.automation.lookers import Lookers
from models_admin.automation.stalls import Stalls
from models_admin.db_threads import Together
from models_admin.presentation import snapshots
from models_admin.servers.clients import Clients
from models_admin.tabby.errors import (
    Busy,
    NotBegun,
    NotLoaded,
    Stalled,
    StreamCut,
    StreamError,
    TabbyError,
    TimedOut,
    Unreachable,
)
from models_admin.usage.meter import Meter

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
TOGETHER = 128  # replies that are put back in one transaction: a switch cuts all at once
# After these, TabbyAPI is asked what is loaded: the model may have gone.
SUSPICIOUS = (Unreachable, NotLoaded, Busy, StreamCut, StreamError, Stalled, TimedOut)
# These say nothing about the reply itself: it is gone on with, and only given up after several.
PASSING = (Unreachable, NotLoaded, NotBegun, Busy, StreamCut, TimedOut)
REFUSED = "The database does not take this reply. The server's log says why; try again."


class ReplyEnds:
    """Writes the ends of this process' replies."""

    def __init__(self, clients: Clients) -> None:
        self._lookers = Lookers()
        self._stalls = Stalls(clients)
        self._unfinished = Together(_put_back, TOGETHER)

    async def conclude(self, live: LiveReply, error: BaseException | None) -> None:
        """Write the reply's end, or put it back; a database that is away is tried until it takes it."""
        work = live.work
        if live.verdict is EndReason.LOST:
            return
        if live.verdict is EndReason.LET_GO:
            await self._put_back(live, failed=False)
        elif live.verdict is EndReason.STOPPED:
            await self._end(live, Status.STOPPED)
        elif error is None:
            await self._end(live, Status.COMPLETE)
        elif await self._goes_on(live, error):
            log.info("Reply %s is put back: %s", work.message, error)
        else:
            log.warning("Reply %s failed: %s", work.message, error)
            _explain(live, error)
            await self._end(live, Status.FAILED)

    async def _goes_on(self, live: LiveReply, error: BaseException) -> bool:
        """Whether the reply can be gone on with after `error`; then it is back in the queue."""
        if not isinstance(error, SUSPICIOUS):
            return False
        if isinstance(error, Stalled) and await self._stalls.has_stalled(live.work.server):
            await self._put_back(live, failed=False)
            return True
        await self._lookers.look(live.work.server)
        snapshot = await db_threads.read(snapshots.current, live.work.server)
        gone = snapshot["state"] != "ready" or snapshot["epoch"] != live.work.epoch
        if not gone and (not isinstance(error, PASSING) or live.work.attempts + 1 >= progress.GIVE_UP_AFTER):
            return False
        await self._put_back(live, failed=not gone)
        return True

    async def _put_back(self, live: LiveReply, *, failed: bool) -> None:
        unfinished = Unfinished(live.work, live.so_far(), failed)
        if await insist(partial(self._unfinished.write, unfinished)):
            counters.count("replies:cut")

    async def _end(self, live: LiveReply, status: Status) -> None:
        await live.render_whole()
        if not await insist(partial(db_threads.write, progress.end, live.work, status, live.finished())):
            return  # another process has taken it over, and counts it
        counters.count(f"replies:{status.value}")
        usage = live.grown.usage or {}
        for kind in ("prompt", "completion"):
            counters.count(f"tokens:{kind}", usage.get(f"{kind}_tokens") or 0)

    async def refuse(self, work: ClaimedReply, error: BaseException, meter: Meter) -> None:
        """Fail a reply that Gantry cannot carry out, or whose row the database does not take."""
        if isinstance(error, DatabaseError):
            # Its first line only: PostgreSQL repeats the row in the others, and what people write stands in no log.
            log.error("The database does not take reply %s: %s", work.message, str(error).partition("\n")[0])
        else:
            log.error("Reply %s failed inside Gantry", work.message, exc_info=error)
        words = REFUSED if isinstance(error, DatabaseError) else progress.INTERNAL
        await insist(partial(db_threads.write, progress.refuse, work, words, meter.read()))
        counters.count(f"replies:{Status.FAILED.value}")

    async def leave_stalled(self, lives: list[LiveReply]) -> None:
        """Have those of these go on at another server that one writes which has stalled."""
        stalled = await self._stalls.found((live.work.server, live.meter) for live in lives)
        for live in lives:
            if live.work.server in stalled:
                live.end(EndReason.LET_GO)

    async def look_at_all(self) -> None:
        """Ask all servers what is loaded."""
        await self._lookers.look_at_all()


def _put_back(batch: Sequence[Unfinished]) -> list[bool]:
    return progress.put_back(batch, process.name())


async def insist(write: Callable[[], Awaitable[T]]) -> T:
    """Write to the database, however long it is away: the reply's text is only here. What it will not take is raised."""
    while True:
        try:
            return await write()
        except Exception as error:
            if not db_threads.away(error):
                raise
            log.warning("A reply's end cannot be written (%s): trying again", error)
            await asyncio.sleep(RETRY_SECONDS)


def _explain(live: LiveReply, error: BaseException) -> None:
    """Write into the reply why it failed, in words for its reader."""
    if isinstance(error, TabbyError):
        live.grown.error, live.grown.error_kind = f"{error} {error.advice}", error.kind
    else:
        log.error("A reply failed inside Gantry", exc_info=error)
        live.grown.error = progress.INTERNAL
        live.grown.error_kind = "internal"
