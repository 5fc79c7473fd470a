"""Answers that name the cause: to forms that are refused, to sockets that come as plain HTTP, to errors.

A fault of the reverse proxy that a request shows is kept for `manage.py doctor`, which itself does not come through the
proxy. Anybody can make up a request. So no address is kept that came from somebody who has not signed in, and what such a
request shows never replaces what the request of somebody signed in showed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE, REASON_NO_REFERER
from django.shortcuts import render
from django.utils import timezone
from django.utils.timesince import timesince
from django.views.decorators.csrf import csrf_exempt

from gantry_site.models import SeenFault
from models_admin import saving
from models_admin.api import proxy_faults
from models_admin.api.proxy_faults import NO_UPGRADE, ProxyFault
from models_admin.servers.finding import Finding

log = logging.getLogger(__name__)

REPORTED_FOR = timedelta(days=1)
KEPT_EVERY = timedelta(minutes=1)
NO_COOKIE = "The browser sent no cookie with the form. Allow cookies for this address, reload the page, and send it again."
NO_REFERER = (
    "The browser does not say which page the form is on (Referer), as it must over HTTPS. Allow it here."
)
TOO_OLD = "The page was open for so long that its form is no longer valid. Go back, reload the page, and send it again."


def refused_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form that Django refuses: 403, with the cause, and which setting or header to change."""
    fault = None if _from_another_site(request) else _fault_of(request)
    heading, title, hint = "This form was refused", TOO_OLD, ""
    cause = ""
    if fault is not None:
        cause = str(keep(fault, request))
        title, hint = fault.title, fault.hint
    elif reason == REASON_NO_CSRF_COOKIE and settings.HTTPS and not request.is_secure():
        title = "HTTPS=true is set, so browsers send Gantry's cookies over https only, and this page came over plain HTTP."
        hint = "Open Gantry at its https address, or set HTTPS=false."
    elif reason == REASON_NO_CSRF_COOKIE:
        title = NO_COOKIE
    elif reason == REASON_NO_REFERER:
        title = NO_REFERER
    elif "Origin" in reason or "Referer" in reason:
        title = "The form is on a page of another site. Use Gantry's own pages."
    else:
        heading = "This form is too old"
    cause = cause or (f"{title} {hint}" if hint else "")
    log.warning("A form at %s was refused (%s) %s", request.path[:200], reason, cause)
    context = {"heading": heading, "says": title, "hint": hint}
    return render(request, "403_csrf.html", context, status=403)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the page for a request that cannot be understood: 400, which names a host that Gantry does not know."""
    host = request.META.get("HTTP_HOST", "")[:200] if isinstance(exception, DisallowedHost) else ""
    return render(request, "400.html", {"host": host}, status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the page for an error of Gantry's own: 500; 503 where the database is away, 507 where a disk is full."""
    error = sys.exc_info()[1]
    why = saving.refusal(error) if error is not None else None
    status, says = why or (500, "")
    return render(request, "500.html", {"code": status, "says": says}, status=status)


@csrf_exempt
def socket_over_http(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer plain HTTP at a socket's address with 426, and why the sockets of the page that asks do not open.

    A page whose socket cannot connect asks here, and gives its origin in X-Page-Origin. A handshake that comes as plain
    HTTP lost its Upgrade header on the way.
    """
    handshake = "Sec-WebSocket-Key" in request.headers
    page = request.headers.get("X-Page-Origin", "")
    says = "This is the address of a WebSocket: connect with Upgrade: websocket."
    if handshake or (page and request.user.is_authenticated):
        opened_at = page or request.headers.get("Origin", "")
        fault = proxy_faults.of_page(opened_at, _host(request), secure=request.is_secure()) or NO_UPGRADE
        keep(NO_UPGRADE if handshake else fault, request)
        says = str(fault)
    headers = {"Upgrade": "websocket", "Cache-Control": "no-store"}
    return JsonResponse({"detail": says}, status=426, headers=headers)


def _from_another_site(request: HttpRequest) -> bool:
    """Whether the browser says that another site sent the request; a proxy does not mislead it."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _fault_of(request: HttpRequest) -> ProxyFault | None:
    return proxy_faults.of_page(_page_origin(request), _host(request), secure=request.is_secure())


def _page_origin(request: HttpRequest) -> str:
    origin = request.headers.get("Origin", "")
    if origin and origin != "null":
        return origin
    try:
        parts = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _host(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_HOST", ""))


def keep(fault: ProxyFault, request: HttpRequest) -> ProxyFault:
    """Keep the fault that `request` showed, at most once a minute; return it as it is kept and logged.

    What a request of somebody who has not signed in shows is kept without the addresses in it.
    """
    now = timezone.now()
    public = shown = proxy_faults.without_addresses(fault)
    try:
        if request.user.is_authenticated:
            shown = fault
        kept = SeenFault.objects.filter(kind=fault.kind, seen_at__gt=now - REPORTED_FOR).first()
        if kept is None or _replaces(shown, kept, public):
            facts = {"title": shown.title[:500], "hint": shown.hint[:500], "seen_at": now}
            SeenFault.objects.update_or_create(kind=shown.kind, defaults=facts)
    except DatabaseError as error:
        log.warning("What is wrong with the proxy could not be kept (%s): %s", error, shown)
    return shown


def _replaces(shown: ProxyFault, kept: SeenFault, public: ProxyFault) -> bool:
    """Whether `shown` is kept in the place of `kept`: what anybody may have made up replaces nothing else."""
    if shown != public and kept.title == public.title:
        return True
    return kept.seen_at < timezone.now() - KEPT_EVERY and (shown != public or kept.title == public.title)


def findings() -> Iterator[Finding]:
    """Yield what requests of the last day showed of the proxy, for `manage.py doctor`."""
    try:
        faults = list(SeenFault.objects.filter(seen_at__gt=timezone.now() - REPORTED_FOR))
    except DatabaseError:  # another finding reports that it is away, or has no tables
        return
    for fault in faults:
        yield Finding(
            "proxy", "warning", fault.title, f"Last seen {timesince(fault.seen_at)} ago.", fault.hint
        )
    if not faults:
        yield Finding("proxy", "ok", "No request of the last day was spoiled by a reverse proxy")
