"""One HTTP request to /v1: what it says of itself, its token, its body, and the moment at which its caller has gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from django.conf import settings

from gateway.bodies import bodies
from gateway.errors import Refused
from models_admin import db_threads
from models_admin.api import tokens
from models_admin.models import Token

LINGER_SECONDS = 2.0  # for which a body is read on that is not wanted: its sender would lose the answer
WAIT = "x-gantry-wait"
IN_ADDRESS = re.compile(
    rf"{tokens.PREFIX}[\w-]{{20}}|(?:^|[&?])(?:api[-_]?key|access[-_]?token|token|key)=", re.IGNORECASE
)

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The caller has closed the connection."""


class Request:
    """A request as it comes; `path` is what follows /v1/."""

    def __init__(self, scope: dict[str, Any], path: str, receive: Receive) -> None:
        self.method = str(scope["method"])
        self.path = path
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._address = f"{path}?{scope['query_string'].decode('latin-1')}"
        self._query = parse_qs(scope["query_string"].decode("latin-1"))
        self._receive = receive
        self._more = True
        self._kept = 0  # bytes of the body

    @property
    def patience(self) -> float:
        """How many seconds it may wait for its turn: as many as its caller says, GATEWAY_WAIT_SECONDS at most."""
        said = self.headers.get(WAIT) or next(iter(self._query.get("wait", [])), "")
        try:
            seconds = float(said) if said else settings.GATEWAY_WAIT_SECONDS
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise Refused(400, "invalid_wait", f"“wait” and {WAIT} are a number of seconds.", param="wait")
        return min(seconds, float(settings.GATEWAY_WAIT_SECONDS))

    async def token(self) -> Token:
        """Return the token that came along. Raises Refused: 401 where none does that counts, 403 without the scope."""
        if IN_ADDRESS.search(unquote(self._address)):
            raise Refused(
                401,
                "token_in_address",
                "A token has no place in an address, where logs keep it. Send it as “Authorization: Bearer …”, and revoke "
                "this one if it was real.",
            )
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise _unknown("Send an API token as “Authorization: Bearer gantry_…”.")
        try:
            row = await db_threads.read(tokens.find, token.strip())
        except tokens.Invalid as error:
            raise _unknown(str(error)) from None
        if tokens.Scope.CHAT not in row.scopes:
            raise Refused(403, "missing_scope", f"The token “{row}” lacks the scope “{tokens.Scope.CHAT}”.")
        return row

    async def body(self) -> bytes:
        """Return all of the body, within its bounds. Raises Gone where the caller leaves before its end, Refused where there
        is no room for it.
        """
        parts = []
        while self._more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Gone
            self._more = message.get("more_body", False)
            part = message.get("body", b"")
            bodies.keep(len(part))
            self._kept += len(part)
            parts.append(part)
        return b"".join(parts)

    def end(self) -> None:
        """Make room for other bodies: this one is no longer needed."""
        bodies.let_go(self._kept)
        self._kept = 0

    async def skip(self) -> None:
        """Read what has not been read, without keeping it, for a while."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self._more:
                    message = await self._receive()
                    self._more = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            pass

    async def gone(self) -> None:
        """Wait until the caller has closed the connection; the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _unknown(message: str) -> Refused:
    headers = {"www-authenticate": 'Bearer realm="Gantry"'}
    return Refused(401, "invalid_api_key", message, headers=headers)
