"""How a new token comes to its user: a form that asks for it, and a page that shows it once.

On its way to that page the token is in a cookie for the page alone, which the page deletes and which expires after a minute.
An address, a message or a session would keep the token somewhere.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from models_admin.api import tokens
from models_admin.models import Token
from models_admin.visible import visible

NEW = "new_token"  # the cookie
ONCE = "A token is shown once. If it was not copied, revoke it and make another."


def clean_name(name: str) -> str:
    """Return a token's name, its control characters made visible."""
    return visible(name)


def clean_expires_at(expires: Any) -> Any:
    """Return when a token expires (None: never). Raises ValidationError for a time that has passed."""
    if expires is not None and expires <= timezone.now():
        raise forms.ValidationError("This is over already. Choose a time in the future.")
    return expires


def lead_to(page: str, token: str) -> HttpResponse:
    """Return a redirect to the page that shows a new token, so that a reload makes no other."""
    response = HttpResponseRedirect(page)
    response.set_cookie(
        NEW,
        token,
        max_age=60,
        path=page,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Strict",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def taken(request: HttpRequest) -> tuple[Token, str] | None:
    """Return the row of the new token, and the token; None where there is none to be shown (any more)."""
    token = request.COOKIES.get(NEW, "")
    row = tokens.own(request.user, token)
    return (row, token) if row is not None else None


def shown(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the page that shows the token as one that nobody keeps."""
    response.headers["Cache-Control"] = "no-store"
    response.delete_cookie(NEW, path=request.path, samesite="Strict")
    return response
