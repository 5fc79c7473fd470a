"""A web process' ear and mouth: one subscription to the events, one look at the database, all of its sockets.

The `backend` snapshot is read when an event says that something changed, and once a second in any case, so that pages follow
the truth even while Redis is down. It is read by one task, one after the other, so that sockets see it in order; a change
during a read leads to one more read, which is all the throttling there is to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from django.db import DatabaseError

from models_admin import db_threads, events
from models_admin.live import sessions
from models_admin.presentation import snapshots
from models_admin.servers import known

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.5
SESSION_SECONDS = 1.5
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
        self.snapshot: dict[str, Any] = {}
        self.public: dict[str, Any] = {}  # of the snapshot, what is for everybody
        self.handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "backend": self._nudge,
            "catalog": self._catalog,
        }
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen, in the running loop; a second call does nothing."""
        if not self._tasks:
            work = (self._listen(), self._look(), self._see_who_has_gone())
            self._tasks = [asyncio.create_task(each) for each in work]

    async def current(self) -> dict[str, Any]:
        """The snapshot, read now if there is none yet."""
        if not self.snapshot:
            self._take(await db_threads.read(snapshots.current, known.default()))
        return self.snapshot

    def _take(self, snapshot: dict[str, Any]) -> None:
        self.snapshot, self.public = snapshot, snapshots.public(snapshot)

    def shown_to(self, socket: Socket) -> dict[str, Any]:
        """The snapshot as the person behind the socket may see it."""
        return self.snapshot if socket.insider else self.public

    def broadcast(self, event: dict[str, Any], insider: bool | None = None) -> None:
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
                async with contextlib.aclosing(events.heard()) as heard:
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
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS)
            self._changed.clear()
            try:
                self._tell(await db_threads.read(snapshots.current, known.default()))
            except DatabaseError as error:
                log.warning("The database cannot be read (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # whatever it was, pages must go on being told
                log.exception("The state could not be told: trying again")
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
        self.sockets.discard(socket)
        task = asyncio.create_task(socket.sign_out())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _tell(self, snapshot: dict[str, Any]) -> None:
        known, told = _essence(self.snapshot), _essence(self.public)
        self._take(snapshot)
        if _essence(self.public) != told:
            self.broadcast(self.public, insider=False)
        if _essence(snapshot) == known:
            return
        self.broadcast(snapshot, insider=True)
        for listener in self.listeners:
            listener(snapshot)


def _essence(snapshot: dict[str, Any]) -> dict[str, Any]:
    """The snapshot without what the clock alone changes."""
    essence = dict(snapshot)
    for part in ("switch", "last"):
        if essence.get(part):
            essence[part] = {key: value for key, value in essence[part].items() if key not in CLOCKWORK}
    return essence


hub = Hub()
