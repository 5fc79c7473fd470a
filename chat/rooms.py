"""The pages that look at a conversation: those of this process by their sockets, those of other processes by events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

import orjson

from chat import wire
from chat.elsewhere import elsewhere
from chat.models import Status
from chat.page_schema import ChatEvent, Message
from models_admin import db_threads
from models_admin.live.hub import Socket

WHOLE = '{"type":"message"'
MOST_TOLD = 10_000
WATCH_SECONDS = 15.0  # how long another process' word that it has watchers counts


class Rooms:
    """Who is to be told what happens in a conversation."""

    def __init__(self) -> None:
        self._sockets: dict[uuid.UUID, set[Socket]] = {}
        self._watched: dict[uuid.UUID, float] = {}
        self._told: dict[int, int] = {}

    def join(self, conversation: uuid.UUID, socket: Socket) -> None:
        """Let `socket` be told, from now on."""
        self._sockets.setdefault(conversation, set()).add(socket)

    def leave(self, conversation: uuid.UUID, socket: Socket) -> None:
        """Tell `socket` no more."""
        here = self._sockets.get(conversation, set())
        here.discard(socket)
        if not here:
            self._sockets.pop(conversation, None)

    def here(self) -> list[uuid.UUID]:
        """Conversations that somebody looks at through this process."""
        return list(self._sockets)

    def tell_here(self, conversation: uuid.UUID, text: str) -> None:
        """Send one JSON text to this process' pages of the conversation."""
        for socket in tuple(self._sockets.get(conversation, ())):
            socket.tell(text)

    def tell(self, conversation: uuid.UUID, event: ChatEvent) -> None:
        """Send one event to all pages of the conversation, wherever they are connected."""
        text = orjson.dumps(event).decode()
        if event["type"] == "message":
            self.note(event["message"])
        elsewhere.tell(conversation, text)
        self.tell_here(conversation, text)

    async def show(self, conversation: uuid.UUID, messages: Iterable[int]) -> None:
        """Send whole messages, as the database has them, to all pages of the conversation.

        Not those that stream: of these the process that relays them tells, and the database is behind it.
        """
        for message in await db_threads.read(wire.messages, list(messages)):
            if message["status"] != Status.STREAMING:
                self.tell(conversation, {"type": "message", "message": message})

    def hear(self, conversation: uuid.UUID, text: str) -> None:
        """Pass on what another process sent for the pages of the conversation, if this process has any."""
        if conversation in self._sockets:
            if text.startswith(WHOLE):
                self.note(orjson.loads(text)["message"])
            self.tell_here(conversation, text)

    def note(self, message: Message) -> None:
        """Remember which revision of a message the pages have been told of."""
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        self._told[message["id"]] = message["revision"]

    def greeted(self, conversation: uuid.UUID, messages: Iterable[Message]) -> None:
        """Remember what a page's hello told, if that page is the only one here: others may have missed some of it."""
        if len(self._sockets.get(conversation, ())) == 1:
            for message in messages:
                self.note(message)

    async def missed(self) -> list[uuid.UUID]:
        """Conversations whose pages here were not told of what changed in them lately, as while Redis was down."""
        if not self._sockets:
            return []
        changed = await db_threads.read(wire.changed_lately, self.here())
        missed = {
            conversation
            for conversation, parent, message, revision in changed
            # A reply whose question was missed was told to no purpose: pages had no place for it.
            if self._told.get(message) != revision or parent not in self._told
        }
        for _, parent, message, revision in changed:
            self._told.setdefault(parent, 0)
            self._told[message] = revision
        return list(missed)

    def watch(self, conversations: Iterable[str]) -> list[uuid.UUID]:
        """Note that another process has pages of these; return the ones for which that is news."""
        now = time.monotonic()
        fresh = []
        for name in conversations:
            conversation = uuid.UUID(name)
            if self._watched.get(conversation, 0.0) < now:
                fresh.append(conversation)
            self._watched[conversation] = now + WATCH_SECONDS
        return fresh

    def watched_elsewhere(self, conversation: uuid.UUID) -> bool:
        """Whether another process has said lately that somebody looks at the conversation there."""
        until = self._watched.get(conversation)
        if until is None:
            return False
        if until < time.monotonic():
            del self._watched[conversation]
            return False
        return True


rooms = Rooms()
