"""The progress of a load, as TabbyAPI streams it: one thread reads it, and another may stop the reading."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from models_admin.tabby.access import CONNECT_SECONDS, MAX_ERROR_BODY, Access
from models_admin.tabby.errors import Garbled, StreamCut, TabbyError, TimedOut
from models_admin.tabby.failures import load_failure
from models_admin.tabby.sse import EventTooLong, SseDecoder
from models_admin.tabby.wire import LoadProgress, decode_json, read_progress

_READ_SIZE = 65536


class LoadStream:
    """One `POST /v1/model/load`, sent when iteration begins; yields LoadProgress as TabbyAPI tells it.

    Iteration ends normally when the stream ended without an error event: then, and only if `GET /v1/model`
    names the target, the load has succeeded. It raises OutOfMemory, FilesBroken or LoadFailed for an error
    event, wherever that comes; StreamCut when the connection breaks in mid-stream; TimedOut when not even a
    ping came for `read_seconds`; else what any call raises. Leaving the context closes the connection, which
    does not stop a load in TabbyAPI.

    It has its own connection rather than the client's session, because only so can another thread end a wait
    for the headers.
    """

    def __init__(self, access: Access, name: str, options: Mapping[str, Any], *, read_seconds: float) -> None:
        self._access = access
        self._name = name
        self._body = orjson.dumps({**options, "model_name": name})
        self._read_seconds = read_seconds
        self._lock = threading.Lock()
        self._aborted: TabbyError | None = None
        self._socket: socket.socket | None = None
        self._last_event = time.monotonic()
        self._events = self._run()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LoadProgress:
        return next(self._events)

    def close(self) -> None:
        """Close the connection, from the thread that iterates."""
        self._events.close()

    def silence(self) -> float:
        """Return the seconds since the last event, or since the request where none has come; pings do not count.

        Any thread may call it.
        """
        return time.monotonic() - self._last_event

    def abort(self, error: TabbyError) -> None:
        """Make the iteration raise `error` at once, even while it waits.

        Any thread may call it. The first error stays.
        """
        with self._lock:
            if self._aborted is None:
                self._aborted = error
            if self._socket is not None:
                # The base class's method: a TLS socket's own takes its state away under the reading thread.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @property
    def _doing(self) -> str:
        return f"loading {self._name}"

    def _run(self) -> Generator[LoadProgress]:
        connection = self._connection()
        response: urllib3.BaseHTTPResponse | None = None
        try:
            response = self._open(connection)
            yield from self._read(response)
            self._raise_if_aborted()
        finally:
            with self._lock:
                self._socket = None
            if response is not None:
                response.close()
            connection.close()

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self._access.base)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return HTTPSConnection(
                host, parts.port, timeout=CONNECT_SECONDS, ssl_context=ssl.create_default_context()
            )
        return HTTPConnection(host, parts.port, timeout=CONNECT_SECONDS)

    def _open(self, connection: HTTPConnection) -> urllib3.BaseHTTPResponse:
        """Send the request; return a 200 that is a stream of events. Raises TabbyError for anything else."""
        headers = self._access.headers() | {"Content-Type": "application/json", "Accept": "text/event-stream"}
        path = urlsplit(self._access.base).path + "/v1/model/load"
        self._last_event = time.monotonic()
        self._raise_if_aborted()
        try:
            connection.connect()
            # urllib3 sets the socket's timeout from this before it sends and before it waits for the headers.
            connection.timeout = self._read_seconds
            with self._lock:
                self._socket = connection.sock
            self._raise_if_aborted()
            connection.request("POST", path, self._body, headers, preload_content=False)
            response = connection.getresponse()
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            raise self._lost(error, started=False) from error
        self._raise_if_aborted()
        if response.status != 200:
            raise self._access.failure(response.status, self._doing, self._error_body(response))
        if "text/event-stream" not in response.headers.get("Content-Type", ""):
            raise self._access.no_events(self._doing, self._error_body(response))
        return response

    def _read(self, response: urllib3.BaseHTTPResponse) -> Iterator[LoadProgress]:
        decoder = SseDecoder()
        events = 0
        while chunk := self._receive(response):
            try:
                payloads = decoder.feed(chunk)
            except EventTooLong as error:
                raise Garbled(f"TabbyAPI's answer while {self._doing} makes no sense: {error}") from error
            for payload in payloads:
                self._raise_if_aborted()
                self._last_event = time.monotonic()
                events += 1
                yield self._progress(payload)
        if decoder.unfinished:
            raise StreamCut(f"TabbyAPI's answer ended in the middle of an event while {self._doing}")
        if not events and decoder.junk:
            raise self._access.no_events(self._doing, b"")

    def _receive(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Return what has come, as soon as anything has; b'' at the end."""
        try:
            chunk = response.read1(_READ_SIZE)
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError) as error:
            raise self._lost(error, started=True) from error
        return chunk or b""

    def _progress(self, payload: bytes) -> LoadProgress:
        event = decode_json(payload, self._doing)
        words = self._access.words(event)
        if words is not None:
            raise load_failure(self._name, words)
        return read_progress(event)

    def _error_body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Return the beginning of an error's body; b'' if it does not come."""
        try:
            return response.read(MAX_ERROR_BODY)
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException):
            return b""

    def _lost(self, error: Exception, *, started: bool) -> TabbyError:
        """Return what a broken connection means: an abort, silence, or a loss before or after the stream began."""
        if self._aborted is not None:
            return self._aborted
        if isinstance(error, urllib3.exceptions.ConnectTimeoutError):  # also a connection that was refused
            return self._access.unreachable(self._doing, error)
        if isinstance(error, TimeoutError | urllib3.exceptions.ReadTimeoutError):
            return TimedOut(f"TabbyAPI was silent for {self._read_seconds:g} s while {self._doing}")
        if started:
            return StreamCut(f"The connection to TabbyAPI was lost while {self._doing}")
        if isinstance(error, http.client.HTTPException) and not isinstance(
            error, http.client.RemoteDisconnected
        ):
            return Garbled(f"TabbyAPI's answer while {self._doing} is not HTTP")
        return self._access.unreachable(self._doing, error)

    def _raise_if_aborted(self) -> None:
        if self._aborted is not None:
            raise self._aborted
