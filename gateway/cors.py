"""Pages of other sites that may call: their browsers ask first, and show a page only what it is allowed to see.

A page needs a token like every program. No cookie counts under /v1, so none is allowed to come along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.conf import settings

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*,]+")
SHOWN = "retry-after, x-request-id"
USUAL = "authorization, content-type, x-gantry-wait, x-request-id"
_NAMES = re.compile(r"[A-Za-z0-9_-]+(?: ?, ?[A-Za-z0-9_-]+)*")
LONGEST_NAMES = 1024
KNOWN_SECONDS = 600  # for which a browser need not ask again


def headers(origin: str) -> dict[str, str]:
    """Return what lets a page from `origin` ('': no page) read an answer, where GATEWAY_CORS_ORIGINS names it."""
    if not settings.GATEWAY_CORS_ORIGINS:
        return {}
    if origin not in settings.GATEWAY_CORS_ORIGINS:
        return {"vary": "Origin"}
    return {"vary": "Origin", "access-control-allow-origin": origin, "access-control-expose-headers": SHOWN}


def preflight(method: str, asked: Mapping[str, str]) -> dict[str, str]:
    """Return the answer to a browser that asks whether a page may call; {} where nothing is asked, or it may not.

    The headers that the page wants to send are allowed as they are named: only those of gateway.request are read.
    """
    allowed = headers(asked.get("origin", ""))
    if method != "OPTIONS" or len(allowed) < 2 or "access-control-request-method" not in asked:
        return {}
    names = asked.get("access-control-request-headers", "")
    return {
        **allowed,
        "vary": "Origin, Access-Control-Request-Headers",
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": names
        if len(names) <= LONGEST_NAMES and _NAMES.fullmatch(names)
        else USUAL,
        "access-control-max-age": str(KNOWN_SECONDS),
    }
