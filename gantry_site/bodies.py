"""Bounds requests: a body that is too large is answered with 413 before it is kept, one that does not come with 408.

Django has a limit too, but it first writes the whole body to a file. Here a body is refused as soon as its announced or
received size is over the limit. Daphne takes a whole body before it calls the application, so daphne_requests.py does the
same one step earlier.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from gantry_site.middleware import HEADERS
from gateway import cors
from gateway.application import is_for
from gateway.errors import Refused
from models_admin import log_context

LONGEST_HEAD = 32 * 1024  # bytes of address and headers; Daphne takes 16 KB, others take what comes at once
LINGER_SECONDS = 2.0  # for a client that goes on sending: closing at once would lose the answer on its way

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class _Unbearable(BaseException):
    """A body has more bytes than it may have (413), or does not come (408). No handler of errors in between is to take it
    for one of its own.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def bounded(application: Application) -> Application:
    """Return `application` (for HTTP) with bounds on what it is given.

    More than LONGEST_HEAD of address and headers is answered with 431, a larger body than DATA_UPLOAD_MAX_MEMORY_SIZE
    with 413, one that has not come after REQUEST_SECONDS with 408.
    """

    async def checked(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        if head + len(scope["path"]) + len(scope["query_string"]) > LONGEST_HEAD:
            headers = _encoded({**HEADERS, "Content-Length": "0", "Connection": "close"})
            await send({"type": "http.response.start", "status": 431, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        most = limit(scope["path"])
        if _announced(scope["headers"]) > most:
            await _refuse(413, scope, receive, send)
            return
        size, comes = 0, True
        end = asyncio.get_running_loop().time() + settings.REQUEST_SECONDS

        async def receive_counted() -> dict[str, Any]:
            nonlocal size, comes
            try:
                async with asyncio.timeout_at(end if comes else None):
                    message = await receive()
            except TimeoutError:
                raise _Unbearable(408) from None
            comes = message.get("more_body", False)
            size += len(message.get("body", b""))
            if size > most:
                raise _Unbearable(413)
            return message

        try:
            await application(scope, receive_counted, send)
        except _Unbearable as error:  # while the application reads, which it does before it answers
            await _refuse(error.status, scope, receive, send)

    return checked


def limit(path: str) -> int:
    """Return how many bytes a body for `path` may have: programs send pictures."""
    return (
        int(settings.GATEWAY_MAX_BODY_MB * 2**20) if is_call(path) else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    )


def is_call(path: str) -> bool:
    """Return whether a request for `path` is a program's, under /v1."""
    return is_for(path.removeprefix(settings.FORCE_SCRIPT_NAME or ""))


def _announced(headers: list[tuple[bytes, bytes]]) -> int:
    length = next((value for name, value in headers if name == b"content-length"), b"")
    return int(length[:19]) if length.isdigit() else 0


def refusal(status: int, path: str, origin: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of a 413 or 408 for `path`: JSON for the APIs, else a page, or for a 408 a line.

    `origin`: of the page that asks, if one does.
    """
    slow = status == 408
    words = "The request came too slowly." if slow else "The body is too big."
    if is_call(path):
        most = "" if slow else f" {settings.GATEWAY_MAX_BODY_MB:g} MiB is the most."
        code = "request_too_slow" if slow else "body_too_large"
        kind, text = "application/json", Refused(status, code, words + most).body.decode()
    elif path.removeprefix(settings.FORCE_SCRIPT_NAME or "").startswith("/api/"):
        kind, text = "application/json", json.dumps({"detail": words})
    elif slow:
        kind, text = "text/plain; charset=utf-8", words
    else:
        kind, text = "text/html; charset=utf-8", render_to_string("413.html")
    body = text.encode()
    named = {"X-Request-ID": log_context.accepted_id(""), **cors.headers(origin)} if is_call(path) else {}
    headers = {
        **HEADERS,
        **named,
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    return _encoded(headers), body


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _refuse(status: int, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    headers, body = refusal(status, scope["path"], origin.decode("latin-1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})
