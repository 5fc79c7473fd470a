"""Answers to what monitoring asks: /healthz, /readyz and /metrics. They are middleware, in front of sessions and hosts."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from gantry_site.addresses import parse_address
from models_admin.ops import diagnostics, metrics


class _Probe:
    """Middleware that answers the requests for one `path`."""

    sync_capable = True
    async_capable = False
    path = ""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.answer(request) if request.path_info == self.path else self.get_response(request)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to a request for `path`."""
        raise NotImplementedError


class Health(_Probe):
    """Answers GET /healthz with 200 as soon as this process serves, whatever else is down, and for any Host header."""

    path = "/healthz"

    def answer(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok\n", content_type="text/plain")


class Readiness(_Probe):
    """Answers GET /readyz: whether this process can serve people, and whether each part that Gantry needs works.

    {"ready", "status": "ok"|"degraded"|"down", "checks": {"database"|"disk"|"redis"|"worker"|"tabbyapi": {"ok", "says"}}}.
    The status is 503 only where the database does not answer: without the others people can read, write and queue
    messages, and it would help nobody to take every web process out of service. For alarms, `/readyz?all` is 503 where
    any check fails.
    """

    path = "/readyz"

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self._known: dict[str, Any] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def answer(self, request: HttpRequest) -> HttpResponse:
        known = self._body()
        well = known["status"] == "ok" if "all" in request.GET else known["ready"]
        return JsonResponse(known, status=200 if well else 503, headers={"Cache-Control": "no-store"})

    def _body(self) -> dict[str, Any]:
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


class Metrics(_Probe):
    """Answers GET /metrics, in Prometheus' text format, to whoever may read it (see _refusal)."""

    path = "/metrics"

    def answer(self, request: HttpRequest) -> HttpResponse:
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
