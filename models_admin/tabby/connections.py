"""The event loop's connections to TabbyAPI, and what it means when one breaks."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError

from models_admin.tabby.access import CONNECT_SECONDS, Access
from models_admin.tabby.errors import Garbled, TabbyError

LOST = (aiohttp.ClientError, HttpProcessingError, OSError)
_READ_BUFFER = 64 * 1024


class Connections:
    """One HTTP session, made in the loop that first uses it, and what is known of the TabbyAPI at its other end."""

    def __init__(self) -> None:
        self.continues = False  # whether TabbyAPI is known to understand continue_final_message
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """End the session, and with it every stream that is still open. The next call makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def session(self) -> aiohttp.ClientSession:
        """Return the session of the running loop, a new one where it has none."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                # A connection serves one request: closing it is how a reply is stopped, and an idle one
                # may be closed by TabbyAPI just when the next message is sent on it.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                json_serialize=lambda value: orjson.dumps(value).decode(),
                read_bufsize=_READ_BUFFER,
            )
        return self._session


def lost(access: Access, doing: str, error: BaseException) -> TabbyError:
    """Return what a failed exchange means: Garbled where the answer is no HTTP or cut off, else Unreachable."""
    if isinstance(error, HttpProcessingError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return Garbled(f"TabbyAPI's answer while {doing} is not HTTP, or is cut off")
    return access.unreachable(doing)


async def bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body, or a little more than `limit` bytes of one that is longer."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limit:
            break
    return bytes(body)
