"""The client for the event loop: replies as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp

from models_admin.tabby import continuation, wire
from models_admin.tabby.access import CONNECT_SECONDS, MAX_BODY, READ_SECONDS, Access
from models_admin.tabby.chat_stream import CHAT, ChatStream
from models_admin.tabby.connections import LOST, Connections, bounded, lost
from models_admin.tabby.errors import Garbled, NotLoaded, TimedOut
from models_admin.tabby.passage import PassageReader, Passed, whole
from models_admin.tabby.patience import Patience
from models_admin.tabby.reply import ReplyReader
from models_admin.tabby.wire import Delta


class AsyncTabby:
    """A client of TabbyAPI at `host`: one session, made in the loop that first uses it, ended by `aclose()`.

    Of the network's errors, methods raise TabbyError alone. Chats use the API key where there is one, else the admin key.
    The environment's proxies are not used. All timeouts are in seconds.
    """

    def __init__(
        self,
        host: str,
        admin_key: str = "",
        api_key: str = "",
        *,
        stall_timeout: float = 120.0,
        first_token_timeout: float = 600.0,
        read_timeout: float = READ_SECONDS,
    ) -> None:
        self._access = Access(host, admin_key, api_key)
        self.connections = Connections()
        self._stall_timeout = stall_timeout
        self._first_token_timeout = first_token_timeout
        self._read_timeout = read_timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the session, and with it every stream that is still open. The next call makes a new one."""
        await self.connections.close()

    async def current(self) -> wire.ModelCard | None:
        """Return the loaded model's card; None if no model is loaded, which is also TabbyAPI's answer all through a load."""
        doing = "asking which model is loaded"
        url, headers = self._access.base + "/v1/model", self._access.headers()
        try:
            async with (
                asyncio.timeout(CONNECT_SECONDS + self._read_timeout),
                self.connections.session().get(url, headers=headers, allow_redirects=False) as response,
            ):
                body = await bounded(response, MAX_BODY)
                status = response.status
        except aiohttp.ConnectionTimeoutError as error:
            raise self._access.unreachable(doing) from error
        except TimeoutError as error:
            raise TimedOut(
                f"TabbyAPI gave no full answer within {self._read_timeout:g} s while {doing}"
            ) from error
        except LOST as error:
            raise lost(self._access, doing, error) from error
        if len(body) > MAX_BODY:
            raise Garbled(f"TabbyAPI's answer while {doing} is longer than {MAX_BODY:,} bytes")
        if status == 200:
            return wire.read_card(wire.decode_json(body, doing))
        failure = self._access.failure(status, doing, body)
        if isinstance(failure, NotLoaded):
            return None
        raise failure

    async def ping(self, seconds: float) -> None:
        """See whether TabbyAPI answers at all, whatever it says. Raises TabbyError if not within so many seconds."""
        doing = "asking whether it is there"
        try:
            async with (
                asyncio.timeout(seconds),
                self.connections.session().get(f"{self._access.base}/health", allow_redirects=False),
            ):
                pass
        except TimeoutError as error:
            raise TimedOut(f"TabbyAPI gave no answer within {seconds:g} s while {doing}") from error
        except LOST as error:
            raise lost(self._access, doing, error) from error

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        params: Mapping[str, Any] | None = None,
        prefix: str = "",
        stall: float | None = None,
        first: float | None = None,
    ) -> ChatStream[Delta]:
        """Return the reply to `messages` (`role` and `content` each) as a stream, which goes on behind `prefix`.

        The prefix is not repeated. It is a part of the answer, not of the thinking before it: see continuation.py.
        `params` are sampling options, such as `temperature` and `max_tokens`; `stall` and `first` are in seconds, see
        Patience. Use it so:

        async with tabby.stream_chat(messages) as stream: async for delta in stream: ...
        """
        body: dict[str, Any] = {
            **(params or {}),
            "messages": [dict(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # With a name, TabbyAPI may switch to that model, or fail with a 500 where none is loaded.
        body.pop("model", None)
        bodies = continuation.bodies(body, prefix, known=self.connections.continues) if prefix else [body]
        patience = Patience(stall or self._stall_timeout, first or self._first_token_timeout)
        return ChatStream(self.connections, self._access, bodies, patience, reader=ReplyReader(self._access))

    def pass_stream(self, path: str, body: Mapping[str, Any], prefix: str = "") -> ChatStream[Passed]:
        """The events of TabbyAPI's answer to `body`, as they come; a chat goes on behind `prefix` without repeating it."""
        bodies = [dict(body)]
        if prefix and path == CHAT:
            bodies = continuation.bodies(dict(body), prefix, known=self.connections.continues)
        patience = Patience(self._stall_timeout, self._first_token_timeout)
        reader = PassageReader(self._access)
        return ChatStream(self.connections, self._access, bodies, patience, reader=reader, path=path)

    async def pass_whole(self, path: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """TabbyAPI's answer to `body` in one piece, for which it may take so many seconds."""
        return await whole(self.connections, self._access, path, dict(body), seconds)
