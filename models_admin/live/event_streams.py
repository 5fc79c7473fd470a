"""A switch, or a rollout, as server-sent events, for scripts and pages that follow it without polling.

An open stream is a coroutine: it has no thread, and a database connection only while it reads. It reads when the hub says
that something has changed, and once a second in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from django.db import DatabaseError
from django.http import StreamingHttpResponse

from models_admin import db_threads
from models_admin.live.hub import hub, without_clock
from models_admin.page_schema import Backend, Change

log = logging.getLogger(__name__)

PER_USER = 8  # streams in one web process
LOOK_SECONDS = 1.0
PING_SECONDS = 15.0
ALLOWED_SECONDS = 2.0  # between two checks of the reader's permission
LAST = "ended"  # the id of the last event
ABOUT = (
    "Server-sent events. The `data` of each is the whole, as `GET` without `/events` shows it, so that "
    "none is missed by connecting again. The stream ends after the event whose id is `ended`; comments keep it open."
)
_EVENT = {
    "type": "object",
    "description": "One event.",
    "properties": {"id": {"const": LAST}, "data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
CONTENT = {"text/event-stream": {"schema": _EVENT}}


class TooMany(Exception):
    """The user has as many streams open as one may have."""

    def __init__(self) -> None:
        super().__init__(f"You follow {PER_USER} switches already. Close one of these streams first.")


class Stream:
    """The events of one switch or rollout, in bytes, for one client; an open one counts against its user's PER_USER."""

    # Weak, because a client can go before its stream has begun, and then nothing removes it.
    _open: defaultdict[int, weakref.WeakSet[Stream]] = defaultdict(weakref.WeakSet)
    _opening = threading.Lock()

    def __init__(self, describe: Callable[[], Change], user_id: int, allowed: Callable[[], bool]) -> None:
        """`describe` returns what is followed as it is now. `allowed` is called every ALLOWED_SECONDS: whether the user may
        still follow. Both run in a thread. Raises TooMany."""
        self.describe = describe
        self.user_id = user_id
        self.allowed = allowed
        with self._opening:
            if len(self._open[user_id]) >= PER_USER:
                raise TooMany
            self._open[user_id].add(self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        changed = asyncio.Event()

        def wake(snapshot: Backend) -> None:
            changed.set()

        hub.listeners.append(wake)
        try:
            async for event in self._events(changed):
                yield event
        finally:
            hub.listeners.remove(wake)
            self._open[self.user_id].discard(self)

    async def _events(self, changed: asyncio.Event) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        shown: dict[str, Any] | None = None
        sent_at = checked_at = clock()
        while True:
            changed.clear()
            if clock() - checked_at >= ALLOWED_SECONDS:
                checked_at = clock()
                if not await self._may_go_on():
                    return
            now = await self._look()
            if now and (essence := without_clock(now)) != shown:
                shown, sent_at = essence, clock()
                yield _event(now)
                if now["finished_at"]:
                    return
            elif clock() - sent_at >= PING_SECONDS:
                sent_at = clock()
                yield b": still there\n\n"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)

    async def _may_go_on(self) -> bool:
        try:
            return await db_threads.read(self.allowed)
        except DatabaseError as error:  # then nothing can be read either
            log.warning("Whether a stream may go on cannot be looked up (%s): trying again", error)
            return True

    async def _look(self) -> Change | None:
        try:
            return await db_threads.read(self.describe)
        except DatabaseError as error:
            log.warning("A switch cannot be followed (%s): trying again", error)
            return None


def response(stream: Stream) -> StreamingHttpResponse:
    """Return the answer that sends the events."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(stream, content_type="text/event-stream", headers=headers)


def _event(now: Change) -> bytes:
    name = b"id: %b\n" % LAST.encode() if now["finished_at"] else b""
    return b"%bdata: %b\n\n" % (name, orjson.dumps(now))
