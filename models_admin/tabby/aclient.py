"""The client for the event loop: replies as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError

from models_admin.tabby import continuation, wire
from models_admin.tabby.access import CONNECT_SECONDS, MAX_BODY, MAX_ERROR_BODY, READ_SECONDS, Access
from models_admin.tabby.errors import Busy, Garbled, NotLoaded, Stalled, StreamCut, TabbyError, TimedOut
from models_admin.tabby.patience import Patience
from models_admin.tabby.reply import DOING, ReplyReader
from models_admin.tabby.sse import EventTooLong, SseDecoder, slices
from models_admin.tabby.wire import Delta

_LOST = (aiohttp.ClientError, HttpProcessingError, OSError)
_READ_BUFFER = 64 * 1024
_MAX_EVENT = 1024 * 1024  # bytes: what is read as one piece of JSON holds the loop meanwhile


class AsyncTabby:
    """TabbyAPI at `host`, for one process: one session, made in the loop that first uses it, ended by
    `aclose()`.

    Every method raises TabbyError and nothing else of the network's. Chats use the API key where there is
    one, else the admin key. The environment's proxies are not used.
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
        self._stall_timeout = stall_timeout
        self._first_token_timeout = first_token_timeout
        self._read_timeout = read_timeout
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.continues = False  # whether TabbyAPI is known to understand continue_final_message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the session, and with it every stream that is still open. The next call makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def session(self) -> aiohttp.ClientSession:
        """The session of the running loop."""
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

    async def current(self) -> wire.ModelCard | None:
        """The loaded model; None if there is none, which is also TabbyAPI's answer all through a load."""
        doing = "asking which model is loaded"
        url, headers = self._access.base + "/v1/model", self._access.headers()
        try:
            async with (
                asyncio.timeout(CONNECT_SECONDS + self._read_timeout),
                self.session().get(url, headers=headers, allow_redirects=False) as response,
            ):
                body = await _bounded(response, MAX_BODY)
                status = response.status
        except aiohttp.ConnectionTimeoutError as error:
            raise self._access.unreachable(doing) from error
        except TimeoutError as error:
            raise TimedOut(
                f"TabbyAPI gave no full answer within {self._read_timeout:g} s while {doing}"
            ) from error
        except _LOST as error:
            raise _lost(self._access, doing, error) from error
        if len(body) > MAX_BODY:
            raise Garbled(f"TabbyAPI's answer while {doing} is longer than {MAX_BODY:,} bytes")
        if status == 200:
            return wire.read_card(wire.decode_json(body, doing))
        failure = self._access.failure(status, doing, body)
        if isinstance(failure, NotLoaded):
            return None
        raise failure

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        params: Mapping[str, Any] | None = None,
        prefix: str = "",
        stall: float | None = None,
        first: float | None = None,
    ) -> ChatStream:
        """The reply to `messages` (`role` and `content` each), going on behind `prefix` without repeating it.

        The prefix is a part of the answer, not of the thinking before it: see continuation.py.

        `params` are sampling options, such as `temperature` and `max_tokens`; `stall` and `first` are in
        seconds, see Patience. Use it so:

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
        bodies = continuation.bodies(body, prefix, known=self.continues) if prefix else [body]
        patience = Patience(stall or self._stall_timeout, first or self._first_token_timeout)
        return ChatStream(self, self._access, bodies, patience)


class ChatStream:
    """One reply as it is written: an async iterator of Delta, sent when iteration begins.

    Iteration ends normally only after `[DONE]`. It raises NotLoaded, KeyRefused, Rejected (ContextOverflow),
    ServerFault, Garbled or Unreachable before the first delta; StreamError for an error event; StreamCut when
    the stream ends without `[DONE]` or the connection breaks; Stalled when `patience` is over. Leaving the context, an
    exception and the end all close the connection at once, which cancels generation.
    """

    def __init__(
        self, tabby: AsyncTabby, access: Access, bodies: Sequence[dict[str, Any]], patience: Patience
    ) -> None:
        self._tabby = tabby
        self._access = access
        self._bodies = bodies
        self._patience = patience
        self._response: aiohttp.ClientResponse | None = None
        self._closed = False
        self._watch: asyncio.TimerHandle | None = None
        self._waits = False
        self._decoder = SseDecoder(limit=_MAX_EVENT)
        self._reader = ReplyReader(access)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection now; iteration ends. May be called at any time, more than once."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._response is not None:
            self._response.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        if self._closed:
            raise StopAsyncIteration
        try:
            delta = await self._next()
        except BaseException:
            self.close()
            raise
        if delta is None:
            self.close()
            raise StopAsyncIteration
        return delta

    async def _next(self) -> Delta | None:
        """The next delta, or None at the end of the reply."""
        reader = self._reader
        if self._response is None:
            self._patience.start(asyncio.get_running_loop().time())
            self._response = await self._open()
            self._look()
        while reader.failure is None and not reader.done:
            data = await self._receive(self._response)
            if not data:
                raise self._ended()
            payloads = await self._decoded(data)
            delta = reader.read(payloads) if payloads else None
            self._heard(delta, progress=bool(payloads))
            if delta is not None:
                return delta
        if reader.failure is not None:
            raise reader.failure
        return None

    async def _decoded(self, data: bytes) -> list[bytes]:
        payloads: list[bytes] = []
        try:
            for number, piece in enumerate(slices(data)):
                if number:
                    await asyncio.sleep(0)
                payloads += self._decoder.feed(piece)
        except EventTooLong as error:
            raise Garbled(f"TabbyAPI's answer while {DOING} makes no sense: {error}") from error
        return payloads

    def _heard(self, delta: Delta | None, *, progress: bool) -> None:
        """Something came: it may put the deadline off. Raise Stalled where what comes without end does not."""
        now = asyncio.get_running_loop().time()
        self._patience.life(now)
        if progress:
            self._patience.progress(now, token=delta is not None and delta.pieces > 0)
        if delta is None and now >= self._patience.deadline:
            raise self._stalled()

    async def _open(self) -> aiohttp.ClientResponse:
        """Send the request: an answer 200 of events, or the exception for anything else."""
        *others, last = self._bodies
        for body in others:
            response = await self._post(body)
            if response.status != 422:
                break
            response.close()
        else:
            response = await self._post(last)
        if response.status == 200 and response.content_type == "text/event-stream":
            return response
        try:
            raise await self._refusal(response)
        finally:
            response.close()

    async def _post(self, body: dict[str, Any]) -> aiohttp.ClientResponse:
        self._patience.life(asyncio.get_running_loop().time())
        url = self._access.base + "/v1/chat/completions"
        headers = self._access.headers(chat=True) | {"Accept": "text/event-stream"}
        try:
            async with asyncio.timeout_at(self._patience.deadline):
                response = await self._tabby.session().post(
                    url, json=body, headers=headers, allow_redirects=False
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise self._access.unreachable(DOING) from error
        except TimeoutError as error:
            raise self._stalled() from error
        except _LOST as error:
            self._tabby.continues = False  # what comes back may be another TabbyAPI
            raise _lost(self._access, DOING, error) from error
        if response.status == 200 and continuation.proves(body):
            self._tabby.continues = True
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> TabbyError:
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _bounded(response, MAX_ERROR_BODY)
        except (TimeoutError, *_LOST):
            body = b""
        if response.status == 200:
            return self._access.no_events(DOING, body)
        failure = self._access.failure(response.status, DOING, body)
        if isinstance(failure, Busy) and response.status == 503 and failure.words:
            # TabbyAPI says 503 to a chat for one reason: there is no model to answer it. A proxy says nothing of models.
            return NotLoaded(f"TabbyAPI has no model ready while {DOING}", failure.words)
        return failure

    async def _receive(self, response: aiohttp.ClientResponse) -> bytes:
        """Whatever has come, as soon as anything has; b'' at the end."""
        content = response.content
        try:
            data = content.read_nowait()
            if not data:
                self._waits = True
                data = await content.readany()
        except (RuntimeError, *_LOST) as error:  # aiohttp's RuntimeError: the connection was closed here
            raise StreamCut(f"The connection to TabbyAPI was lost while {DOING}") from error
        finally:
            self._waits = False
        return data

    def _look(self) -> None:
        """End a wait that has reached the deadline. One timer a stream, which follows the deadline: one a read costs more
        than reading.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._patience.deadline:
            self._watch = loop.call_at(self._patience.deadline, self._look)
        elif self._waits and self._response is not None:
            self._response.content.set_exception(self._stalled())
        else:
            self._watch = loop.call_later(0.2, self._look)  # what came is not taken yet

    def _ended(self) -> TabbyError:
        if self._decoder.junk:
            return self._access.no_events(DOING, b"")
        return StreamCut(f"TabbyAPI's reply ended without its end mark while {DOING}")

    def _stalled(self) -> Stalled:
        return self._patience.error(asyncio.get_running_loop().time(), DOING)


def _lost(access: Access, doing: str, error: BaseException) -> TabbyError:
    """What a failure before any answer means: not HTTP, or no connection."""
    if isinstance(error, HttpProcessingError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return Garbled(f"TabbyAPI's answer while {doing} is not HTTP, or is cut off")
    return access.unreachable(doing)


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, or a little more than `limit` bytes of one that is longer."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limit:
            break
    return bytes(body)
