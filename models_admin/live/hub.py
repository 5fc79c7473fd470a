"""All sockets of a web process, its one subscription to the events, and its one look at the database.

The look is taken when an event says that something has changed, and once a second in any case, so that pages follow the
truth even while Redis is down. One task takes it, and tells what it has found before it looks again: sockets are told
everything in order. A change during a look leads to one more look, which is all the throttling there is to do.

Pages are told of TabbyAPI and the switch under way (the `backend` snapshot), and of requests for models: users of their own,
staff that there is something to look at. What a page is told is the whole state, and replaces what it had.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
from django.db import DatabaseError
from django.utils import timezone

from models_admin import db_threads, events
from models_admin.live import sessions
from models_admin.model_requests import asking
from models_admin.page_schema import AskedEvent, Backend, ModelsEvent, RequestsEvent, Switch
from models_admin.presentation import snapshots
from models_admin.servers import known

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.5
SESSION_SECONDS = 1.5
# What was written longer ago is known: pages were told, or have come since.
LATELY = timedelta(minutes=1)
# What moves by itself with the clock, and is no reason to send a snapshot.
CLOCKWORK = ("elapsed_seconds", "eta_seconds")


class Socket(Protocol):
    """What the hub needs of a consumer."""

    visit: sessions.Visit
    staff: bool

    @property
    def insider(self) -> bool:
        """Whether it shows what is for administrators, too."""

    async def sign_out(self) -> None:
        """End the socket: its session holds no longer."""

    def tell(self, text: str) -> None:
        """Send one JSON text to the page; never waits, and never raises for a page that has gone."""


class Hub:
    """All sockets of this process, and what they were told last."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self._snapshot: Backend | None = None
        self._public: Backend | None = None
        self._new: set[Socket] = set()  # they have not been told of their users' requests yet
        self._told: dict[int, datetime] = {}  # which requests, as of when, pages have been told of
        self.handlers: dict[str, Callable[[dict[str, Any]], object]] = {
            "backend": self._nudge,
            "requests": self._nudge,
            "catalog": self._catalog,
        }
        self.listeners: list[Callable[[Backend], None]] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen, in the running loop; a second call does nothing."""
        if not self._tasks:
            work = (self._listen(), self._look(), self._see_who_has_gone())
            self._tasks = [asyncio.create_task(each) for each in work]

    async def current(self) -> Backend:
        """The snapshot, read now if there is none yet."""
        if self._snapshot is None:
            self._take(await db_threads.read(snapshots.current, known.default()))
        return self.snapshot

    def _take(self, snapshot: Backend) -> None:
        self._snapshot, self._public = snapshot, snapshots.public(snapshot)

    @property
    def snapshot(self) -> Backend:
        """The newest one; current() has been waited for once."""
        assert self._snapshot is not None  # noqa: S101
        return self._snapshot

    @property
    def public(self) -> Backend:
        """Of the snapshot, what is for everybody; current() has been waited for once."""
        assert self._public is not None  # noqa: S101
        return self._public

    def shown_to(self, socket: Socket) -> Backend:
        """The snapshot as the person behind the socket may see it."""
        return self.snapshot if socket.insider else self.public

    def join(self, socket: Socket) -> None:
        """Tell this socket from now on, of its user's requests soon; its hello comes first."""
        self.sockets.add(socket)
        self._new.add(socket)
        self._changed.set()

    def leave(self, socket: Socket) -> None:
        """Forget a socket; one that never joined is no error."""
        self.sockets.discard(socket)
        self._new.discard(socket)

    def broadcast(self, event: ModelsEvent, insider: bool | None = None) -> None:
        """Send one event to every socket of this process, or only to those of insiders, or of others."""
        text = orjson.dumps(event).decode()
        for socket in list(self.sockets):
            if insider in (None, socket.insider):
                socket.tell(text)

    def _nudge(self, event: dict[str, Any]) -> None:
        self._changed.set()

    def _catalog(self, event: dict[str, Any]) -> None:
        self.broadcast({"type": "catalog"})

    async def _listen(self) -> None:
        """Take events from Redis for ever; whatever breaks is tried again."""
        while True:
            try:
                async with contextlib.aclosing(events.listen()) as heard:
                    async for event in heard:
                        self._handle(event)
            except Exception as error:  # noqa: BLE001 (Redis may fail in any way; the database is looked at meanwhile)
                log.warning("Events cannot be heard (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _handle(self, event: dict[str, Any]) -> None:
        handler = self.handlers.get(event.get("kind", ""))
        if handler is not None:
            handler(event)

    async def _look(self) -> None:
        """Look, and tell what has changed, for ever; whatever breaks is tried again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS)
            self._changed.clear()
            try:
                self._tell(await db_threads.read(snapshots.current, known.default()))
                if self.sockets:
                    await self._tell_of_requests()
            except DatabaseError as error:
                log.warning("The database cannot be read (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # whatever it was, pages must go on being told
                log.exception("Pages could not be told: trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _see_who_has_gone(self) -> None:
        """End the sockets whose session has ended, wherever that happened."""
        while True:
            await asyncio.sleep(SESSION_SECONDS)
            here = {socket: socket.visit for socket in self.sockets}
            try:
                ended, staff = (
                    await db_threads.read(sessions.looked_at, here.values()) if here else (set(), set())
                )
                for socket, visit in here.items():
                    socket.staff = visit.user in staff
                    if visit in ended:
                        self._sign_out(socket)
            except Exception as error:  # noqa: BLE001 (whatever it was, it is looked for again)
                log.warning("Sessions could not be looked at (%s): trying again", error)

    def _sign_out(self, socket: Socket) -> None:
        """End a socket, without waiting for a reader who may take nothing."""
        self.leave(socket)
        task = asyncio.create_task(socket.sign_out())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _tell(self, snapshot: Backend) -> None:
        known, told = self._snapshot, self._public
        self._take(snapshot)
        if told is None or _essence(self.public) != _essence(told):
            self.broadcast(self.public, insider=False)
        if known is not None and _essence(snapshot) == _essence(known):
            return
        self.broadcast(snapshot, insider=True)
        for listener in self.listeners:
            listener(snapshot)

    async def _tell_of_requests(self) -> None:
        """Tell users whose requests have changed, and pages that have just come; the database is asked for all at once."""
        changes = await db_threads.read(asking.changed_since, timezone.now() - LATELY)
        fresh = {user for request, user, changed in changes if self._told.get(request) != changed}
        new = set(self._new)
        concerned = [each for each in self.sockets if each in new or each.visit.user in fresh]
        users = {each.visit.user for each in concerned}
        news = await db_threads.read(asking.notices, users) if users else {}
        # Known as told only now: if the reading failed, it is done again.
        self._told = {request: changed for request, _, changed in changes}
        self._new -= new
        events: dict[int, RequestsEvent] = {
            user: {"type": "requests", "requests": requests} for user, requests in news.items()
        }
        texts = {user: orjson.dumps(event).decode() for user, event in events.items()}
        for socket in concerned:
            if socket in self.sockets:  # and has not left meanwhile
                socket.tell(texts[socket.visit.user])
        if fresh:
            self._tell_staff()

    def _tell_staff(self) -> None:
        """Have the Models pages look: what they show takes permissions, which their own requests are checked for."""
        asked: AskedEvent = {"type": "asked"}
        text = orjson.dumps(asked).decode()
        for socket in list(self.sockets):
            if socket.staff:
                socket.tell(text)


def _essence(snapshot: Backend) -> dict[str, Any]:
    """The snapshot without what the clock alone changes."""
    return {
        **snapshot,
        "switch": without_clockwork(snapshot["switch"]),
        "last": without_clockwork(snapshot["last"]),
    }


def without_clockwork(switch: Switch | None) -> dict[str, Any]:
    """A switch without what the clock alone changes."""
    return {name: value for name, value in (switch or {}).items() if name not in CLOCKWORK}


hub = Hub()
