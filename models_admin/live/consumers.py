"""/ws/models/: what TabbyAPI runs and how a switch goes, for any signed-in page. It takes only a `ping`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from models_admin import db_threads
from models_admin.live import sessions
from models_admin.live.allowance import FLOODED, Allowance
from models_admin.live.hub import hub
from models_admin.live.outgoing import Outgoing
from models_admin.page_schema import ModelsEvent

log = logging.getLogger(__name__)

NOT_SIGNED_IN = 4401
PING, PONG = '{"type":"ping"}', '{"type":"pong"}'
TOO_FAST = "Too many messages at once. Wait a moment, then try again."


class Page(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """A socket that is sent the state of the backend as long as it is open.

    It takes one message after the other in the task that serves the socket. Channels would begin a task for each, and have a
    thread close its database connections. That serves channel layers and queries, which no consumer here has.
    """

    _flooded = False

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve a socket. Its `scope` has `outgoing` and `session_key` (see gantry_site/routing.py)."""
        self.scope, self.base_send = scope, send
        with contextlib.suppress(StopConsumer):
            while True:
                message = await receive()
                await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        """Accept the socket; send `hello` and join the hub, or close with 4401 where nobody is signed in."""
        # Events go past the layers around this consumer, which have no part in them.
        self._outgoing: Outgoing = self.scope["outgoing"]
        self._allowance = Allowance()
        visitor = await db_threads.read(sessions.visit_of, self.scope["session_key"])
        await self.accept()
        if visitor is None:
            await self.close(NOT_SIGNED_IN)
            return
        self.visit, self.staff = visitor
        await self.welcome()

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Leave the hub, as the page has gone, and end the consumer."""
        await self.disconnect(message["code"])
        raise StopConsumer

    @property
    def insider(self) -> bool:
        """Whether the page shows what is for administrators: it does to whoever may enter the admin site."""
        return self.staff

    async def welcome(self) -> None:
        """Join the hub and send the first snapshot; the user's requests follow."""
        await hub.current()
        hub.join(self)
        self.say({"type": "hello", "account": self.visit.user, "backend": hub.shown_to(self)})

    async def sign_out(self) -> None:
        """Close the socket with 4401: its session is no longer valid. A page that has just gone is no error."""
        try:
            await self.close(NOT_SIGNED_IN)
        except Exception as error:  # noqa: BLE001 (each server has its own exception for a socket that is closed)
            log.debug("A page has gone: %s", error)

    async def disconnect(self, code: int) -> None:
        hub.leave(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer a `ping` with a `pong`, by which a page sees that its connection works; refuse anything else."""
        if not await self.allowed():
            return
        if text_data == PING:
            self.tell(PONG)
        else:
            self.refuse("unknown_type", "This socket takes only a “ping”.")

    async def allowed(self) -> bool:
        """Count a frame; return whether it is allowed.

        A frame too many is answered with an error; after many of those the socket is closed with FLOODED.
        """
        if self._flooded:
            return False
        if self._allowance.take():
            return True
        if self._allowance.flooded:
            self._flooded = True
            await self.close(FLOODED)
        else:
            self.refuse("too_fast", TOO_FAST)
        return False

    def refuse(self, code: str, detail: str) -> None:
        """Answer a frame with an error."""
        self.say({"type": "error", "code": code, "detail": detail})

    def say(self, event: ModelsEvent) -> None:
        """Send one event to this page."""
        self.tell(orjson.dumps(event).decode())

    def tell(self, text: str) -> None:
        """Send one JSON text to the page, without waiting for it; a page that has just gone is no error."""
        try:
            self._outgoing.put(text)
        except Exception as error:  # noqa: BLE001 (each server has its own exception for a socket that is closed)
            log.debug("A page has gone: %s", error)
            hub.leave(self)
