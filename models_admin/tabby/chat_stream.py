"""One reply as TabbyAPI writes it: the request, its refusal, the stream to its end, and the patience with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import aiohttp

from models_admin.tabby import continuation
from models_admin.tabby.access import MAX_ERROR_BODY, READ_SECONDS, Access
from models_admin.tabby.connections import LOST, Connections, bounded, lost
from models_admin.tabby.errors import (
    Busy,
    Garbled,
    NotBegun,
    NotLoaded,
    Stalled,
    StreamCut,
    StreamError,
    TabbyError,
)
from models_admin.tabby.patience import Patience
from models_admin.tabby.reply import DOING
from models_admin.tabby.sse import SLICE, EventTooLong, SseDecoder, slices

CHAT = "/v1/chat/completions"
LATE_SECONDS = 0.5  # by which a timer is late where something held this process up
_MAX_EVENT = 1024 * 1024  # bytes: what is read as one piece of JSON holds the loop meanwhile


class Piece(Protocol):
    """What one read brought."""

    @property
    def pieces(self) -> int:
        """How many events with something of the reply it came from."""


T = TypeVar("T", bound=Piece)
T_co = TypeVar("T_co", bound=Piece, covariant=True)


class Reader(Protocol[T_co]):
    """Makes something of a reply's events; `done` after `[DONE]`, `failure` after an error."""

    done: bool
    failure: TabbyError | None

    def read(self, payloads: list[bytes]) -> T_co | None:
        """Return the events of one read as one, or None where they hold nothing of the reply."""


class ChatStream(Generic[T]):
    """One reply as it is written: an async iterator of what `reader` makes of it (Delta), sent when iteration begins.

    Iteration ends normally only after `[DONE]`. It raises NotLoaded, KeyRefused, Rejected (ContextOverflow),
    ServerFault, Garbled or Unreachable before the first delta; StreamError for an error event, NotBegun where nothing of the
    reply came before it; StreamCut when
    the stream ends without `[DONE]` or the connection breaks; Stalled when `patience` is over. Leaving the context, an
    exception and the end all close the connection at once, which cancels generation.
    """

    def __init__(
        self,
        connections: Connections,
        access: Access,
        bodies: Sequence[dict[str, Any]],
        patience: Patience,
        *,
        reader: Reader[T],
        path: str = CHAT,
    ) -> None:
        self._connections = connections
        self._access = access
        self._bodies = bodies
        self._patience = patience
        self._response: aiohttp.ClientResponse | None = None
        self._closed = self._begun = False
        self._watch: asyncio.TimerHandle | None = None
        self._due = 0.0  # when that look is to be
        self._waits = False
        self._decoder = SseDecoder(limit=_MAX_EVENT)
        self._reader = reader
        self._path = path

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

    async def __anext__(self) -> T:
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

    async def _next(self) -> T | None:
        """The next delta, or None at the end of the reply."""
        reader = self._reader
        if self._response is None:
            self._patience.start(asyncio.get_running_loop().time())
            self._response = await self._open()
            self._look_at(self._patience.deadline)
        while reader.failure is None and not reader.done:
            data = await self._receive(self._response)
            if not data:
                raise self._ended()
            payloads = self._decoded(data) if len(data) <= SLICE else await self._decoded_in_turns(data)
            delta = reader.read(payloads) if payloads else None
            self._heard(delta, progress=bool(payloads))
            if delta is not None:
                return delta
        if isinstance(reader.failure, StreamError) and not self._begun:
            raise NotBegun(reader.failure.what, reader.failure.words) from reader.failure
        if reader.failure is not None:
            raise reader.failure
        return None

    def _decoded(self, data: bytes) -> list[bytes]:
        try:
            return self._decoder.feed(data)
        except EventTooLong as error:
            raise Garbled(f"TabbyAPI's answer while {DOING} makes no sense: {error}") from error

    async def _decoded_in_turns(self, data: bytes) -> list[bytes]:
        payloads: list[bytes] = []
        for number, piece in enumerate(slices(data)):
            if number:
                await asyncio.sleep(0)
            payloads += self._decoded(piece)
        return payloads

    def _heard(self, delta: T | None, *, progress: bool) -> None:
        """Something came: it may put the deadline off. Raise Stalled where what comes without end does not."""
        now = asyncio.get_running_loop().time()
        self._patience.life(now)
        token = delta is not None and delta.pieces > 0
        self._begun = self._begun or token
        if progress:
            self._patience.progress(now, token=token)
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
            raise await refusal(self._access, response)
        finally:
            response.close()

    async def _post(self, body: dict[str, Any]) -> aiohttp.ClientResponse:
        self._patience.life(asyncio.get_running_loop().time())
        url = self._access.base + self._path
        headers = self._access.headers(chat=True) | {"Accept": "text/event-stream"}
        try:
            async with asyncio.timeout_at(self._patience.deadline):
                response = await self._connections.session().post(
                    url, json=body, headers=headers, allow_redirects=False
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise self._access.unreachable(DOING) from error
        except TimeoutError as error:
            late = asyncio.get_running_loop().time() - self._patience.deadline
            if late > LATE_SECONDS:
                raise StreamCut(f"Gantry was held up for {late:.0f} s while {DOING}") from error
            raise self._stalled() from error
        except LOST as error:
            self._connections.continues = False  # what comes back may be another TabbyAPI
            raise lost(self._access, DOING, error) from error
        if response.status == 200 and continuation.proves(body):
            self._connections.continues = True
        return response

    async def _receive(self, response: aiohttp.ClientResponse) -> bytes:
        """Whatever has come, as soon as anything has; b'' at the end."""
        self._waits = True
        try:
            data = await response.content.readany()
        except (RuntimeError, *LOST) as error:  # aiohttp's RuntimeError: the connection was closed here
            raise StreamCut(f"The connection to TabbyAPI was lost while {DOING}") from error
        finally:
            self._waits = False
        return data

    def _look(self) -> None:
        """End a wait that has reached the deadline. One timer a stream, which follows the deadline: one a read costs more
        than reading.
        """
        now = asyncio.get_running_loop().time()
        if now < self._patience.deadline:
            self._look_at(self._patience.deadline)
        elif now - self._due > LATE_SECONDS:
            self._look_at(now + LATE_SECONDS)  # the process was frozen: what came meanwhile is not read yet
        elif self._waits and self._response is not None:
            self._response.content.set_exception(self._stalled())
        else:
            self._look_at(now + 0.2)  # what came is not taken yet

    def _look_at(self, when: float) -> None:
        self._due = when
        self._watch = asyncio.get_running_loop().call_at(when, self._look)

    def _ended(self) -> TabbyError:
        if self._decoder.junk:
            return self._access.no_events(DOING, b"")
        return StreamCut(f"TabbyAPI's reply ended without its end mark while {DOING}")

    def _stalled(self) -> Stalled:
        return self._patience.error(asyncio.get_running_loop().time(), DOING)


async def refusal(access: Access, response: aiohttp.ClientResponse) -> TabbyError:
    """Return what it means that TabbyAPI did not answer with a reply."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            body = await bounded(response, MAX_ERROR_BODY)
    except (TimeoutError, *LOST):
        body = b""
    if response.status == 200:
        return access.no_events(DOING, body)
    failure = access.failure(response.status, DOING, body)
    if isinstance(failure, Busy) and response.status == 503 and failure.words:
        # TabbyAPI says 503 to a chat for one reason: there is no model to answer it. A proxy says nothing of models.
        return NotLoaded(f"TabbyAPI has no model ready while {DOING}", failure.words)
    return failure
