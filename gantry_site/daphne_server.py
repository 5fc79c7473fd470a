"""Daphne, with what other ASGI servers do: whoever sends waits for the reader, and an end that lets programs' calls end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from daphne.server import Server
from twisted.internet.defer import Deferred

from gantry_site.daphne_requests import BoundedRequest


class PatientServer(Server):  # type: ignore[misc]  # daphne has no types
    """Daphne's server. `tidy_up` is waited for before it ends, while calls under /v1 go on."""

    def __init__(self, *, tidy_up: Callable[[], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._tidy_up = tidy_up
        self._ports: list[Any] = []

    def listen_success(self, port: Any) -> None:
        """Remember the port, to be closed first."""
        super().listen_success(port)
        self._ports.append(port)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Begin to answer; an answer that is left unfinished ends the connection."""
        queue = super().create_application(protocol, scope)
        if queue is not None and isinstance(protocol, BoundedRequest):
            task = self.connections[protocol]["application_instance"]
            task.add_done_callback(lambda done: protocol.left_alone())
        return queue

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send, and wait until the reader keeps up."""
        ours = isinstance(protocol, BoundedRequest)
        if not (ours and protocol.pass_on(message)):
            await super().handle_reply(protocol, message)
        if ours and protocol.is_behind:
            await protocol.taken()

    def kill_all_applications(self) -> Deferred[None]:
        """End: no new connections; pages and sockets at once, calls when they are done, or their time is over."""
        return Deferred.fromFuture(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        for port in self._ports:
            port.stopListening()
        await self._cancel(lambda protocol: not (isinstance(protocol, BoundedRequest) and protocol.is_call))
        await self._tidy_up()
        await self._cancel(lambda protocol: True)

    async def _cancel(self, which: Callable[[Any], bool]) -> None:
        found = [
            task
            for protocol, details in self.connections.items()
            if which(protocol) and (task := details.get("application_instance")) and not task.done()
        ]
        for task in found:
            task.cancel()
        await asyncio.gather(*found, return_exceptions=True)
