"""/ws/chat/<conversation id>/: a page's socket to one conversation. It parses and passes on; replies.py decides."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from django.db import DatabaseError

from chat import comparing, replies, wire
from chat.dispatch import dispatcher
from chat.group_commit import group_commit
from chat.models import Better
from chat.page_schema import ChatErrorEvent, ChatEvent, Message
from chat.replies import Done, FrameRefused
from chat.rooms import rooms
from chat.sends import Send
from models_admin import db_threads, events, saving
from models_admin.live.consumers import PING, PONG, Page
from models_admin.live.hub import hub

log = logging.getLogger(__name__)

NOT_FOUND = 4404
GROWTH = ('{"type":"delta"', '{"type":"block"')
Frame = dict[str, Any]


class ChatConsumer(Page):
    """The socket of a conversation's owner."""

    conversation: uuid.UUID | None = None
    _held: list[str] | None = None

    @property
    def insider(self) -> bool:
        """Nobody is one here: what the owner's pages are told, they are told together."""
        return False

    async def welcome(self) -> None:
        """Close with 4404 where the conversation is not this user's; else send `hello` and go on telling."""
        wanted = self.scope["url_route"]["kwargs"]["conversation_id"]
        if await db_threads.read(replies.conversation_of, self.visit.user, wanted) is None:
            await self.close(NOT_FOUND)
            return
        await hub.current()
        self.conversation = wanted
        self._held = []
        rooms.join(wanted, self)
        told = await db_threads.read(wire.branch, wanted)
        # From here to the sending nothing else runs. What changed during the reading comes after the hello, in its order;
        # growth of a reply that streams here is in the hello.
        held, self._held = self._held, None
        rooms.greeted(wanted, told["messages"])
        hub.join(self)
        self.say({**dispatcher.hello(told, hub.public), "account": self.visit.user})
        for text in held:
            super().tell(text)
        if not _streams_here(wanted):
            dispatcher.watch([wanted], again=True)

    async def disconnect(self, code: int) -> None:
        if self.conversation is not None:
            rooms.leave(self.conversation, self)
        await super().disconnect(code)

    def tell(self, text: str) -> None:
        """Send one JSON text to the page; before its hello, keep it."""
        if self._held is None:
            super().tell(text)
        elif not text.startswith(GROWTH):
            self._held.append(text)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Obey one frame, or answer it with an `error` event; the socket stays open."""
        if self.conversation is None or not await self.allowed():
            return
        if text_data == PING:
            self.tell(PONG)
            return
        frame: Frame = {}
        try:
            frame = _parsed(text_data)
            handler = FRAMES.get(_word(frame, "type"))
            if handler is None:
                raise FrameRefused(
                    "unknown_type", f"There is no frame of the type “{_word(frame, 'type')[:40]}”."
                )
            await handler(self, frame)
        except FrameRefused as refusal:
            self._refuse_frame(refusal.code, refusal.detail, refusal.client_id or frame.get("client_id"))
        except DatabaseError as trouble:
            why = saving.refusal(trouble)
            if why is None:
                raise
            log.warning("A frame could not be obeyed (%s)", trouble)
            self._refuse_frame("not_saved", why[1], frame.get("client_id"))

    def _refuse_frame(self, code: str, detail: str, client_id: Any) -> None:
        error: ChatErrorEvent = {"type": "error", "code": code, "detail": detail}
        if isinstance(client_id, str):
            error["client_id"] = client_id
        self.say(error)

    async def _on_send(self, frame: Frame) -> None:
        parent = _number(frame, "parent") if frame.get("parent") is not None else None
        text, client_id = _word(frame, "text"), _uuid(frame, "client_id")
        if parent is None:
            await group_commit.send(Send(self._here, client_id, text))
        else:
            await self._obey(replies.send, client_id, text, parent)

    async def _on_edit(self, frame: Frame) -> None:
        text, client_id = _word(frame, "text"), _uuid(frame, "client_id")
        await self._obey(replies.edit, _number(frame, "id"), client_id, text)

    async def _on_regenerate(self, frame: Frame) -> None:
        await self._obey(replies.regenerate, _number(frame, "id"))

    async def _on_continue(self, frame: Frame) -> None:
        await self._obey(replies.go_on, _number(frame, "id"))

    async def _on_compare(self, frame: Frame) -> None:
        await self._obey(comparing.ask, _number(frame, "id"))

    async def _on_judge(self, frame: Frame) -> None:
        word = frame.get("better", "")
        if word is not None and word not in Better.values:
            raise FrameRefused("bad_frame", f"“better” is one of {', '.join(Better.values)}, or null.")
        await self._obey(comparing.judge, _number(frame, "id"), word)

    async def _on_keep(self, frame: Frame) -> None:
        await self._obey(comparing.keep, _number(frame, "id"))

    async def _on_select(self, frame: Frame) -> None:
        await self._obey(replies.select, _number(frame, "id"))

    async def _on_stop(self, frame: Frame) -> None:
        await self._obey(replies.stop, _number(frame, "id"))

    async def _on_resync(self, frame: Frame) -> None:
        wanted = _number(frame, "id")
        live = dispatcher.lives.get(wanted)
        if live is not None and live.work.conversation == self.conversation:
            self._show(live.snapshot())
            return
        for message in await db_threads.read(wire.messages, [wanted], self._here):
            self._show(message)
        dispatcher.watch([self._here], again=True)

    def say(self, event: ChatEvent) -> None:  # type: ignore[override]  # what Page itself says is one of these
        """Send one event to this page."""
        self.tell(orjson.dumps(event).decode())

    def _show(self, message: Message) -> None:
        self.say({"type": "message", "message": message})

    @property
    def _here(self) -> uuid.UUID:
        if self.conversation is None:
            raise RuntimeError("The socket has no conversation yet.")
        return self.conversation

    async def _obey(self, ask: Callable[..., Done], *facts: Any) -> None:
        """Do what is asked, tell all pages of the conversation what changed, and have queued replies claimed."""
        done, changes = await db_threads.write(replies.obey, ask, self._here, *facts)
        if done.stop is not None and not dispatcher.stop_reply(done.stop):
            events.send("stop", message=done.stop)
        for event in changes:
            rooms.tell(self._here, event)
        if done.rebranched:
            told = await db_threads.read(wire.branch, self._here)
            rooms.tell(self._here, dispatcher.hello(told, hub.public))
        dispatcher.wake()


FRAMES: dict[str, Callable[[ChatConsumer, Frame], Awaitable[None]]] = {
    "send": ChatConsumer._on_send,
    "edit": ChatConsumer._on_edit,
    "regenerate": ChatConsumer._on_regenerate,
    "continue": ChatConsumer._on_continue,
    "select": ChatConsumer._on_select,
    "stop": ChatConsumer._on_stop,
    "compare": ChatConsumer._on_compare,
    "judge": ChatConsumer._on_judge,
    "keep": ChatConsumer._on_keep,
    "resync": ChatConsumer._on_resync,
}


def _streams_here(conversation: uuid.UUID) -> bool:
    return any(live.work.conversation == conversation for live in dispatcher.lives.values())


def _parsed(text: str | None) -> Frame:
    try:
        frame = orjson.loads(text or "")
    except ValueError:
        raise FrameRefused("not_json", "The frame is not JSON.") from None
    if not isinstance(frame, dict):
        raise FrameRefused("not_json", "The frame is not a JSON object.")
    return frame


def _word(frame: Frame, name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str):
        raise FrameRefused("bad_frame", f"The frame needs “{name}”, a text.")
    return value


def _number(frame: Frame, name: str) -> int:
    value = frame.get(name)
    if type(value) is not int or not 0 < value < 2**63:
        raise FrameRefused("bad_frame", f"The frame needs “{name}”, the number of a message.")
    return value


def _uuid(frame: Frame, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(_word(frame, name))
    except ValueError:
        raise FrameRefused("bad_frame", f"The frame needs “{name}”, a UUID.") from None
