"""Which key may do what. The headers are read in TabbyAPI's order, with its peculiarities."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from .config import Auth
from .wire import Refusal, crash


def require_api(auth: Auth, headers: Mapping[str, str]) -> None:
    """Raise Refusal(401) unless the headers have either key. `x-admin-key` is not read here."""
    if auth.disable_auth:
        return
    if key := headers.get("x-api-key"):
        allowed = _is(key, auth.api_key) or _is(key, auth.admin_key)
    elif authorization := headers.get("authorization"):
        key = _bearer(authorization)
        allowed = _is(key, auth.api_key) or _is(key, auth.admin_key)
    else:
        raise Refusal(401, "Please provide an API key")
    if not allowed:
        raise Refusal(401, "Invalid API key")


def require_admin(auth: Auth, headers: Mapping[str, str]) -> None:
    """Raise Refusal(401) unless the headers have the admin key. `x-api-key` is not read here."""
    if auth.disable_auth:
        return
    if key := headers.get("x-admin-key"):
        allowed = _is(key, auth.admin_key)
    elif authorization := headers.get("authorization"):
        allowed = _is(_bearer(authorization), auth.admin_key)
    else:
        raise Refusal(401, "Please provide an admin key")
    if not allowed:
        raise Refusal(401, "Invalid admin key")


def permission(auth: Auth, headers: Mapping[str, str]) -> str | None:
    """Return "admin", "api", or None for a key that is neither. The first of the three headers decides alone."""
    if auth.disable_auth:
        return "admin"
    key = headers.get("x-admin-key") or headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
    if _is(key, auth.admin_key):
        return "admin"
    return "api" if _is(key, auth.api_key) else None


def require_permission(auth: Auth, headers: Mapping[str, str]) -> str:
    """Return the permission; raises Refusal for a key that is neither, over which TabbyAPI fails (a plain-text 500)."""
    granted = permission(auth, headers)
    if granted is None:
        raise crash()
    return granted


def _bearer(authorization: str) -> str:
    kind, _, key = authorization.partition(" ")
    return key if kind.lower() == "bearer" else ""


def _is(given: str, key: str) -> bool:
    return bool(key) and hmac.compare_digest(given.encode(), key.encode())
