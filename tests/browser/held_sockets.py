"""A way to Gantry on which pages and calls pass; websockets wait, or lead into the void, when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from urllib.parse import urlsplit

READ = 65_536  # bytes


class HeldSockets:
    """A TCP proxy before the Gantry at `to`: a URL. Its own is `url`."""

    def __init__(self, to: str) -> None:
        split = urlsplit(to)
        assert split.hostname
        assert split.port
        self._to = (split.hostname, split.port)
        self._open = asyncio.Event()
        self._over = asyncio.Event()
        self._through = asyncio.Event()  # cleared: what is sent on the open connections gets lost
        self._through.set()

    async def serve(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        self.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        ready.set_result(None)
        await self._over.wait()
        server.close()

    def let_go(self) -> None:
        """Let the websockets pass: those that wait, and all that follow."""
        self._soon(self._open.set)

    def swallow(self) -> None:
        """Let nothing pass any more, either way, on any connection, and close none: new ones are taken, and hang."""
        self._soon(self._through.clear)

    def pass_on(self) -> None:
        """Let new connections pass again. What was swallowed is gone, and connections that lost something stay dead."""
        self._soon(self._through.set)

    def end(self) -> None:
        self._soon(self._over.set)

    def _soon(self, do: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(do)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled is how it ends: Python 3.11 would print it as an error of the stream.
        endings = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*endings), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                await self._open.wait()
            back, on = await asyncio.open_connection(*self._to)
            with contextlib.closing(on):
                on.write(head)
                await asyncio.gather(self._pump(reader, on), self._pump(back, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = False
        while data := await reader.read(READ):
            lost = lost or not self._through.is_set()
            if not lost:
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.contextmanager
def held_sockets(url: str) -> Iterator[HeldSockets]:
    """A way to the Gantry at `url` whose websockets wait until `let_go()`."""
    held = HeldSockets(url)
    ready: Future[None] = Future()
    # in a thread: Playwright's own loop runs in this one
    thread = threading.Thread(target=lambda: asyncio.run(held.serve(ready)))
    thread.start()
    ready.result()
    try:
        yield held
    finally:
        held.end()
        thread.join()
