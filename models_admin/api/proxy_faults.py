"""Faults of the reverse proxy in front that requests show: which header it leaves out, and which setting helps.

A page's Origin or Referer says where it was opened; Host and the scheme are what the proxy passed on. Where the two differ,
forms and sockets are refused. Where both agree and sockets still do not come, the Upgrade header is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ProxyFault:
    """A fault: `kind` is "https", "host" or "upgrade"; `title` says what a request showed, `hint` what to change."""

    kind: str
    title: str
    hint: str

    def __str__(self) -> str:
        return f"{self.title} {self.hint}"


NO_UPGRADE = ProxyFault(
    "upgrade",
    "Pages come through the reverse proxy, and live connections (WebSockets) do not.",
    "Have the proxy pass on the headers Upgrade and Connection, over HTTP/1.1 (nginx: proxy_http_version 1.1; "
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade).",
)


def without_addresses(fault: ProxyFault) -> ProxyFault:
    """Return the fault without the addresses in it, as it is kept of a request that anybody may have made up."""
    if fault.kind == "https":
        return ProxyFault(
            "https",
            "Somebody who had not signed in sent a form of a page opened over https, and it reached Gantry over plain HTTP.",
            _tls(),
        )
    if fault.kind == "host":
        return ProxyFault(
            "host",
            "Somebody who had not signed in sent a form of a page at another address than Gantry was asked for.",
            "If signing in through the reverse proxy fails, the page of the refused form names both addresses. Have the "
            "proxy pass on the browser's Host header (nginx: proxy_set_header Host $http_host) and true X-Forwarded-Proto.",
        )
    return fault


def of_page(origin: str, host: str, *, secure: bool) -> ProxyFault | None:
    """Return the fault where a page's `origin` (scheme://host[:port]) differs from what Gantry was asked for, else None.

    host: the Host header as it arrived; secure: whether the request counts as HTTPS.
    """
    try:
        page, asked = urlsplit(origin), urlsplit(f"{'https' if secure else 'http'}://{host}")
        page_port, asked_port = _port(page), _port(asked)
    except ValueError:
        return None
    if page.scheme not in PORTS or not page.hostname or origin in settings.CSRF_TRUSTED_ORIGINS:
        return None
    if page.hostname != asked.hostname:
        return ProxyFault(
            "host",
            f"The page was opened at {origin}, and Gantry was asked for {host}.",
            "If both are this Gantry, have the reverse proxy pass on the browser's Host header "
            f"(nginx: proxy_set_header Host $http_host), or put {origin} into CSRF_TRUSTED_ORIGINS.",
        )
    if page.scheme == "https" and not secure:
        return ProxyFault(
            "https", f"The page was opened at {origin}, and reached Gantry over plain HTTP.", _tls()
        )
    if (page.scheme == "http" and secure) or page_port != asked_port:
        return ProxyFault(
            "host",
            f"The page was opened at {origin}, and Gantry was asked for {asked.scheme}://{host}.",
            "Have the reverse proxy pass on the browser's Host header with its port (nginx: proxy_set_header Host "
            "$http_host), and the true X-Forwarded-Proto.",
        )
    return None


def _tls() -> str:
    if settings.HTTPS:
        return (
            "HTTPS=true is set, so the reverse proxy has to send X-Forwarded-Proto: https "
            "(nginx: proxy_set_header X-Forwarded-Proto $scheme)."
        )
    return (
        "Behind a reverse proxy that ends TLS, set HTTPS=true, and have the proxy send X-Forwarded-Proto: https "
        "(nginx: proxy_set_header X-Forwarded-Proto $scheme)."
    )


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS.get(parts.scheme, 0)
