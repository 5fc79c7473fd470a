"""The hub of a web process: all its sockets, its one subscription to the events, and its one reader of the database.

The database is read when an event says that something has changed, and now and then in any case: once a second during a
switch and while Redis is down, so that pages follow the truth even then. One task reads, and sends what it has found before
it reads again, so that sockets get everything in order. A change while it reads leads to one more reading: no other
throttling is needed.

Pages are sent the `backend` snapshot (TabbyAPI and the switch under way), and events about requests for models: users get
their own requests, staff a note that one has changed. Each event has the whole state, and replaces what a page had.
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
from models_admin.aliases.book import book
from models_admin.live import sessions
from models_admin.model_requests import asking
from models_admin.page_schema import AskedEvent, Backend, Change, ModelsEvent, RequestsEvent
from models_admin.presentation import snapshots, team_snapshots

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 3.0  # where nothing is under way, and events are heard of all that begins
RETRY_SECONDS = 0.5
SESSION_SECONDS = 1.5
# Requests that were written longer ago are known to all pages: they were sent, or the pages have come since.
RECENT = timedelta(minutes=1)
# Fields that change with the clock alone, which is no reason to send a snapshot.
CLOCK_FIELDS = ("elapsed_seconds", "eta_seconds")


Handler = Callable[[dict[str, Any]], object]


class Socket(Protocol):
    """A page's consumer, as far as the hub needs it."""

    visit: sessions.Visit
    staff: bool

    @property
    def insider(self) -> bool:
        """Whether the page shows what is for administrators."""

    async def sign_out(self) -> None:
        """Close the socket: its session is no longer valid."""

    def tell(self, text: str) -> None:
        """Send one JSON text to the page; never waits, and never raises for a page that has gone."""


class Hub:
    """All sockets of this process, and the newest state that they were sent.

    `handlers`: by an event's kind, what to do upon it. `listeners`: called with each new snapshot.
    """

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.hears = False  # Redis brings events; while it does not, whoever waits for one has to look
        self._snapshot: Backend | None = None
        self._public: Backend | None = None
        self._mark: snapshots.Mark | None = None  # of what was read last
        self._new: set[Socket] = set()  # they have not been sent their users' requests yet
        self._sent: dict[int, datetime] = {}  # the requests that pages were sent, and as of when
        self._handlers: dict[str, list[Handler]] = {
            "backend": [self._wake],
            "requests": [self._wake],
            "catalog": [self._catalog],
            "aliases": [self._aliases],
        }
        self.listeners: list[Callable[[Backend], None]] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen, in the running loop; a second call does nothing."""
        if not self._tasks:
            work = (self._listen(), self._look(), self._end_invalid_sessions())
            self._tasks = [asyncio.create_task(each) for each in work]

    def hear(self, kind: str, handler: Handler) -> None:
        """Have `handler` called with each event of this kind."""
        self._handlers.setdefault(kind, []).append(handler)

    async def current(self) -> Backend:
        """Return the snapshot; read it now if there is none yet."""
        if self._snapshot is None:
            self._take(await db_threads.read(team_snapshots.current))
        return self.snapshot

    def _take(self, snapshot: Backend) -> None:
        self._snapshot, self._public = snapshot, snapshots.public(snapshot)

    @property
    def snapshot(self) -> Backend:
        """The newest snapshot; call current() once before."""
        assert self._snapshot is not None  # noqa: S101
        return self._snapshot

    @property
    def public(self) -> Backend:
        """The part of the snapshot that is for everybody; call current() once before."""
        assert self._public is not None  # noqa: S101
        return self._public

    def shown_to(self, socket: Socket) -> Backend:
        """Return the snapshot as the person behind the socket may see it."""
        return self.snapshot if socket.insider else self.public

    def join(self, socket: Socket) -> None:
        """Send this socket events from now on, its user's requests soon. The caller sends `hello` at once."""
        self.sockets.add(socket)
        self._new.add(socket)
        self._changed.set()

    def leave(self, socket: Socket) -> None:
        """Forget a socket; one that never joined is no error."""
        self.sockets.discard(socket)
        self._new.discard(socket)

    def broadcast(self, event: ModelsEvent, insider: bool | None = None) -> None:
        """Send one event to every socket of this process, or only to those of insiders (True) or of others (False)."""
        text = orjson.dumps(event).decode()
        for socket in list(self.sockets):
            if insider in (None, socket.insider):
                socket.tell(text)

    def _wake(self, event: dict[str, Any]) -> None:
        self._changed.set()

    def _catalog(self, event: dict[str, Any]) -> None:
        self.broadcast({"type": "catalog"})

    def _aliases(self, event: dict[str, Any]) -> None:
        book.forget()
        self.broadcast({"type": "catalog"})

    async def _listen(self) -> None:
        """Take events from Redis for ever; after an error, subscribe again."""
        while True:
            try:
                async with contextlib.aclosing(events.listen()) as heard:
                    async for event in heard:
                        self.hears = True
                        self._handle(event)
            except Exception as error:  # noqa: BLE001 (Redis may fail in any way; the database is looked at meanwhile)
                self.hears = False
                log.warning("Events cannot be heard (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _handle(self, event: dict[str, Any]) -> None:
        for handler in self._handlers.get(event.get("kind", ""), ()):
            handler(event)

    async def _look(self) -> None:
        """Read the state and send what has changed, for ever; after an error, try again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause())
            self._changed.clear()
            new = set(self._new)  # those that come while it is read may have missed what was written before
            try:
                await self._look_for_news()
                if self.sockets:
                    await self._publish_requests(new)
            except DatabaseError as error:
                log.warning("The database cannot be read (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # whatever it was, pages must go on getting events
                log.exception("Pages could not be told: trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_for_news(self) -> None:
        """Read and send the snapshot, if it can be another one than before."""
        quiet = self._snapshot is not None and self._snapshot["switch"] is None
        mark, snapshot = await db_threads.read(team_snapshots.newer, self._mark if quiet else None)
        if snapshot is not None:
            self._publish(snapshot)
        self._mark = mark

    def _pause(self) -> float:
        """Return for how many seconds pages may go by what is known, if no event comes."""
        quiet = self.hears and self._snapshot is not None and self._snapshot["switch"] is None
        # How many replies are in flight is told to administrators, and changes without an event.
        return QUIET_SECONDS if quiet and not any(each.insider for each in self.sockets) else LOOK_SECONDS

    async def _end_invalid_sessions(self) -> None:
        """Close the sockets whose session is no longer valid, whichever process ended it; note who is staff."""
        while True:
            await asyncio.sleep(SESSION_SECONDS)
            here = {socket: socket.visit for socket in self.sockets}
            try:
                ended, staff = (
                    await db_threads.read(sessions.check, here.values()) if here else (set(), set())
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

    def _publish(self, snapshot: Backend) -> None:
        known, before = self._snapshot, self._public
        self._take(snapshot)
        if before is None or _essence(self.public) != _essence(before):
            self.broadcast(self.public, insider=False)
        if known is not None and _essence(snapshot) == _essence(known):
            return
        self.broadcast(snapshot, insider=True)
        for listener in self.listeners:
            listener(snapshot)

    async def _publish_requests(self, new: set[Socket]) -> None:
        """Send requests to users whose requests have changed and to `new` pages; one query reads them for all.

        A page that has got them has got a state, too, that was read after it had come.
        """
        changes = await db_threads.read(asking.changed_since, timezone.now() - RECENT)
        fresh = {user for request, user, changed in changes if self._sent.get(request) != changed}
        concerned = [each for each in self.sockets if each in new or each.visit.user in fresh]
        users = {each.visit.user for each in concerned}
        notices = await db_threads.read(asking.notices, users) if users else {}
        # Only now they count as sent: if the reading failed, it is done again.
        self._sent = {request: changed for request, _, changed in changes}
        self._new -= new
        events: dict[int, RequestsEvent] = {
            user: {"type": "requests", "requests": requests} for user, requests in notices.items()
        }
        texts = {user: orjson.dumps(event).decode() for user, event in events.items()}
        for socket in concerned:
            if socket in self.sockets:  # and has not left meanwhile
                socket.tell(texts[socket.visit.user])
        if fresh:
            self._notify_staff()

    def _notify_staff(self) -> None:
        """Have the Models pages reload: what they show takes permissions, which their own requests are checked for."""
        asked: AskedEvent = {"type": "asked"}
        text = orjson.dumps(asked).decode()
        for socket in list(self.sockets):
            if socket.staff:
                socket.tell(text)


def _essence(snapshot: Backend) -> dict[str, Any]:
    """Return the snapshot without what the clock alone changes."""
    return {
        **snapshot,
        "switch": without_clock(snapshot["switch"]),
        "last": without_clock(snapshot["last"]),
        "servers": [
            {**each, "switch": without_clock(each["switch"])} for each in snapshot.get("servers", [])
        ],
    }


def without_clock(switch: Change | None) -> dict[str, Any]:
    """Return a switch without what the clock alone changes."""
    return {name: value for name, value in (switch or {}).items() if name not in CLOCK_FIELDS}


hub = Hub()
