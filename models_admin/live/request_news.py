"""Who is told of requests for a model, in one web process: users of their own, staff that there is something to look at.

One task tells all sockets, so that what a page is told comes in order. It reads the database when a page has come, when an
event says that something changed, and every few seconds in case that event was lost; however many pages are open, each
time for all of them at once. What a page gets is the whole state, and replaces what it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
from django.db import DatabaseError
from django.utils import timezone

from models_admin import db_threads
from models_admin.live.hub import hub
from models_admin.model_requests import asking

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
LATELY = timedelta(
    minutes=1
)  # what was written longer ago is known: pages were told, or have been greeted since
ASKED = orjson.dumps({"type": "asked"}).decode()


class Socket(Protocol):
    """What the news need of a consumer."""

    scope: dict[str, Any]

    def tell(self, text: str) -> None:
        """Send one JSON text to the page; never waits, and never raises for a page that has gone."""


class News:
    """The sockets of this process by their users, and which changes they have been told of."""

    def __init__(self) -> None:
        self.sockets: dict[int, set[Socket]] = {}
        self._new: set[Socket] = set()
        self._told: dict[int, datetime] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, in the running loop; a second call does nothing."""
        if self._task is None:
            hub.handlers["wishes"] = lambda event: self._changed.set()
            self._task = asyncio.create_task(self._tell_for_ever())

    def join(self, socket: Socket) -> None:
        """Tell this socket `requests`, soon and whenever they change; call it after its hello."""
        self.sockets.setdefault(socket.scope["user"].pk, set()).add(socket)
        self._new.add(socket)
        self._changed.set()

    def leave(self, socket: Socket) -> None:
        """Forget a socket; one that never joined is no error."""
        self._new.discard(socket)
        user = socket.scope["user"].pk
        here = self.sockets.get(user, set())
        here.discard(socket)
        if not here:
            self.sockets.pop(user, None)

    async def _tell_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS)
            self._changed.clear()
            try:
                if self.sockets:
                    await self._tell()
            except DatabaseError as error:
                log.warning("Requests cannot be read (%s): trying again", error)
                await asyncio.sleep(LOOK_SECONDS)
            except Exception:  # whatever it was, pages must go on being told
                log.exception("Requests could not be told: trying again")
                await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self) -> None:
        changes = await db_threads.read(asking.changed_since, timezone.now() - LATELY)
        fresh = [each for each in changes if self._told.get(each[0]) != each[2]]
        new = set(self._new)
        concerned = {user for _, user, _ in fresh if user in self.sockets}
        users = concerned | {each.scope["user"].pk for each in new}
        news = await db_threads.read(asking.news, users) if users else {}
        # Known as told only now: if the reading failed, it is done again.
        self._told = {wish: changed for wish, _, changed in changes}
        self._new -= new
        for user, requests in news.items():
            text = orjson.dumps({"type": "requests", "requests": requests}).decode()
            for socket in list(self.sockets.get(user, ())):
                if user in concerned or socket in new:
                    socket.tell(text)
        if fresh:
            self._tell_staff()

    def _tell_staff(self) -> None:
        """Have the Models pages look: what they show takes permissions, which their requests are checked for."""
        for socket in [each for sockets in self.sockets.values() for each in sockets]:
            if socket.scope["user"].is_staff:
                socket.tell(ASKED)


news = News()
