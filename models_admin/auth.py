"""Who may call the HTTP API: a signed-in user, from a page of this site or from no browser at all.

Requests carry the session's cookie and need no CSRF token, so that curl can make them. What keeps other sites
out is what browsers say by themselves: the headers `Origin` and `Sec-Fetch-Site`, which no script can change.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie


def from_elsewhere(request: HttpRequest) -> bool:
    """Whether a browser says that a page of another site made this request."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return not (urlsplit(origin).netloc == request.get_host() or origin in settings.CSRF_TRUSTED_ORIGINS)
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


class SignedIn(APIKeyCookie):
    """The user of the session whose cookie came along: 401 without one, 403 from a page of another site."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> AbstractBaseUser:
        """Return the session's user, for the endpoint to find as `request.user`."""
        if from_elsewhere(request):
            raise HttpError(
                403, "This request comes from a page of another site. Use Gantry's own pages, or a script."
            )
        if not request.user.is_authenticated:
            raise HttpError(
                401,
                f"Not signed in: send the cookie {self.param_name} of a session that is signed in.",
            )
        return request.user


signed_in = SignedIn()


def require(request: HttpRequest, *permissions: str) -> None:
    """Raise 403 unless the user has one of these permissions of models_admin (such as "switch").

    Asks the database: call it from a thread.
    """
    user: Any = request.user
    if not any(user.has_perm(f"models_admin.{permission}") for permission in permissions):
        needed = " or ".join(f"“{permission}”" for permission in permissions)
        raise HttpError(403, f"Only administrators may do this: your account lacks the permission {needed}.")
