"""Gantry's middleware: ids of requests, waiting outside of threads, and the headers of each page."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import SyncToAsync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

from models_admin import log_context
from models_admin.api.base import Later
from models_admin.downloads import Download

# Everything comes from this server: no inline script, no other origin. `data:` images are the admin site's own icons.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


access = logging.getLogger("gantry.access")
UNREMARKABLE = ("/healthz", "/readyz", "/metrics", "/static/")


@sync_and_async_middleware
def traced(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Gives each request an id, which its log lines and its response (X-Request-ID) carry, and logs what was asked.

    A well-formed X-Request-ID of the request is taken over.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            with log_context.request(request.headers.get("X-Request-ID", "")) as name:
                started = time.monotonic()
                response: HttpResponseBase = await get_response(request)
                return _logged(request, response, name, started)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        with log_context.request(request.headers.get("X-Request-ID", "")) as name:
            started = time.monotonic()
            return _logged(request, get_response(request), name, started)

    return synchronous


def _logged(request: HttpRequest, response: HttpResponseBase, name: str, started: float) -> HttpResponseBase:
    response.headers["X-Request-ID"] = name
    if not request.path_info.startswith(UNREMARKABLE):
        ms = round((time.monotonic() - started) * 1000, 1)
        path = request.path_info[:300]  # without the query, which may hold what people search for
        facts = {"method": request.method, "path": path, "status": response.status_code, "ms": ms}
        access.info("%s %s %s", request.method, path, response.status_code, extra=facts)
    return response


@async_only_middleware
def later(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> Callable[[HttpRequest], Any]:
    """Waits for responses that take time (Later), and runs streams, in the event loop, where no thread is held.

    Everything inside it (the other middleware, the view) runs in a thread that the request has to itself. Before the
    waiting begins, that thread ends and its database connection is given back. This middleware is asynchronous only: one
    that could be both would be run in the thread too, because what is inside of it is synchronous.
    """

    async def waited(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        if isinstance(response, Later):
            await _free_thread()
            return await response.result()
        if isinstance(response, Download) or (
            isinstance(response, StreamingHttpResponse) and response.is_async
        ):
            await _free_thread()
        return response

    return waited


async def _free_thread() -> None:
    """End the request's thread. asgiref makes another one if the request needs one again."""
    await sync_to_async(_close_connections)()
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None:
        return
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.shutdown(wait=False)


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # as in a test
            connection.close()


@sync_and_async_middleware
def security_headers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Adds HEADERS to each response, whichever part of Gantry made it: it is the outermost middleware.

    It also limits cookies to Gantry's folder of its host (FORCE_SCRIPT_NAME).
    """

    def secured(response: HttpResponseBase) -> HttpResponseBase:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        for cookie in response.cookies.values():
            if cookie["path"] == "/":
                cookie["path"] = settings.FORCE_SCRIPT_NAME or "/"
        return response

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return secured(await get_response(request))

        return asynchronous

    return lambda request: secured(get_response(request))
