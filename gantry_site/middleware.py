"""Gantry's middleware: ids of requests, waiting outside of threads, health, metrics, and the headers of each page."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import SyncToAsync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

from gantry_site.addresses import parse_address
from models_admin import log_context
from models_admin.api.base import Later
from models_admin.downloads import Download
from models_admin.ops import diagnostics, metrics

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
    """End the thread of the request at hand. asgiref makes another one, should it be needed again."""
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


class Health:
    """Answers GET /healthz with 200 as soon as this process serves, whatever else is down, and for any Host header."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return HttpResponse("ok\n", content_type="text/plain")
        return self.get_response(request)


class Readiness:
    """Answers GET /readyz: whether this process can serve people, and whether each part that Gantry needs works.

    {"ready", "status": "ok"|"degraded"|"down", "checks": {"database"|"disk"|"redis"|"worker"|"tabbyapi": {"ok", "says"}}}.
    The status is 503 only where the database does not answer: without the others people can read, write and queue
    messages, and it would help nobody to take every web process out of service. For alarms, `/readyz?all` is 503 where
    any check fails.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._known: dict[str, Any] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != "/readyz":
            return self.get_response(request)
        known = self._answer()
        well = known["status"] == "ok" if "all" in request.GET else known["ready"]
        return JsonResponse(known, status=200 if well else 503, headers={"Cache-Control": "no-store"})

    def _answer(self) -> dict[str, Any]:
        """Return the body, which is made anew at most once a second, however many ask."""
        with self._lock:
            if time.monotonic() >= self._until:
                found = diagnostics.readiness()
                ready = found["database"].level == "ok"
                well = all(each.level == "ok" for each in found.values())
                self._known = {
                    "ready": ready,
                    "status": "ok" if well else "degraded" if ready else "down",
                    "checks": {
                        name: {"ok": each.level == "ok", "says": each.title} for name, each in found.items()
                    },
                }
                self._until = time.monotonic() + 1
            return self._known


class Metrics:
    """Answers GET /metrics, in Prometheus' text format, to whoever may read it (see _refusal)."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != "/metrics":
            return self.get_response(request)
        if status := self._refusal(request):
            says = (
                "Send METRICS_TOKEN as “Authorization: Bearer …”.\n"
                if status == 401
                else "Only programs on this machine may read this. Set METRICS_TOKEN to let others in.\n"
            )
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            return HttpResponse(
                says, status=status, content_type="text/plain; charset=utf-8", headers=headers
            )
        text, content_type = metrics.exposition()
        return HttpResponse(text, content_type=content_type, headers={"Cache-Control": "no-store"})

    def _refusal(self, request: HttpRequest) -> int:
        """Return 401 or 403, or 0 where the request may read: with METRICS_TOKEN, or, without one set, from this machine.

        A request that came through a proxy does not come from this machine.
        """
        if settings.METRICS_TOKEN:
            sent = request.headers.get("Authorization", "").encode()
            right = f"Bearer {settings.METRICS_TOKEN}".encode()
            return 0 if hmac.compare_digest(sent, right) else 401
        proxied = any(
            name in ("Forwarded", "X-Real-Ip", "Via") or name.startswith("X-Forwarded-")
            for name in request.headers
        )
        address = parse_address(request.META.get("REMOTE_ADDR", ""))
        here = address is not None and address.is_loopback and _has_local_host(request)
        return 0 if here and not proxied else 403


def _has_local_host(request: HttpRequest) -> bool:
    """Whether the Host header names this machine. A hostile page in a browser here may have its own name lead here."""
    name = request.META.get("HTTP_HOST", "").lower()
    host = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


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
