"""A server that does, byte by byte, what a test scripts: cut chunks, endless pings, resets, late headers."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest


@dataclass
class Peer:
    """One connection, after its request was read."""

    sock: socket.socket
    server: ScriptedServer
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(
        self, status: int = 200, kind: str = "text/event-stream", framing: str = "Transfer-Encoding: chunked"
    ) -> None:
        framing = f"{framing}\r\n" if framing else ""
        self.send(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{framing}\r\n".encode())

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value: object) -> None:
        self.chunk(
            b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\r\n\r\n"
        )

    def end(self) -> None:
        self.send(b"0\r\n\r\n")

    def answer(self, status: int, body: object, kind: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, kind, f"Content-Length: {len(data)}")
        self.send(data)

    def ping_until_closed(self) -> None:
        """A ping every few milliseconds until the client goes away, which `server.gone` then tells."""
        with suppress(OSError):
            while not self.server.stop.wait(0.005):
                self.chunk(b": ping - now\r\n\r\n")
        self.server.gone.set()

    def wait_until_closed(self) -> None:
        """Say nothing more until the client closes the connection, which `server.gone` then tells."""
        with suppress(OSError):
            while self.sock.recv(4096):
                pass
        self.server.gone.set()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass
class ScriptedServer:
    """Runs `script(peer)` for every request on a connection of its own; `requests` are those that came."""

    script: Callable[[Peer], None] = lambda peer: None
    requests: list[Peer] = field(default_factory=list)
    received: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    keep_alive: bool = False

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.socks: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while (peer := self._request(sock)) is not None:
                self.requests.append(peer)
                self.received.set()
                self.script(peer)
                if not self.keep_alive:
                    return

    def _request(self, sock: socket.socket) -> Peer | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = sock.recv(65536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += sock.recv(65536)
        return Peer(sock, self, first.split()[1], headers, body)

    def close(self) -> None:
        self.stop.set()
        self.go.set()
        for sock in (self.listener, *self.socks):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()
