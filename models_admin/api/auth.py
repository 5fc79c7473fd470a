"""Who may call the HTTP API: a signed-in user, from a page of this site or without a browser; or a script with a token.

Requests with the session's cookie need no CSRF token, so that curl can make them. Other sites are kept out by headers that
browsers send and no script can change: `Origin` and `Sec-Fetch-Site`. A token needs neither, because no browser sends it by
itself. Where a request has both cookie and token, the token alone counts, also where it is wrong.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie
from ninja.security.http import HttpAuthBase

from models_admin.api import proxy_faults, tokens
from models_admin.api.origins import is_ours
from models_admin.models import Token
from models_admin.permissions import has_any

# Gantry's pages send the id of their user: somebody else may have signed in while a page was open.
ACCOUNT = "X-Gantry-Account"


def from_elsewhere(request: HttpRequest) -> bool:
    """Whether a browser says that a page of another site sent this request."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return not is_ours(origin, request.get_host(), secure=request.is_secure())
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


class SessionCookie(APIKeyCookie):
    """Authenticates by the session's cookie: 401 without a user, 403 from another site, 409 from another user's page.

    `otherwise` says in the 401 what else could be sent.
    """

    param_name = settings.SESSION_COOKIE_NAME
    openapi_description = (
        "The session of somebody who has signed in. Requests from pages of other sites are refused by what the "
        "browser says in Origin and Sec-Fetch-Site; no CSRF token is needed."
    )

    def __init__(self, otherwise: str = "") -> None:
        self.otherwise = otherwise
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> AbstractBaseUser:
        """Return the session's user, for the endpoint to find as `request.user`."""
        if from_elsewhere(request):
            origin = request.headers.get("Origin", "")
            fault = proxy_faults.of_page(
                origin, request.META.get("HTTP_HOST", ""), secure=request.is_secure()
            )
            words = "This request comes from a page of another site. Use Gantry's own pages, or a script."
            raise HttpError(403, f"{words} {fault}" if fault else words)
        if not request.user.is_authenticated:
            raise HttpError(
                401,
                f"Not signed in: send the cookie {self.param_name} of a session that is signed in{self.otherwise}.",
            )
        if request.headers.get(ACCOUNT, str(request.user.pk)) != str(request.user.pk):
            raise HttpError(
                409,
                "Somebody else has signed in in this browser since this page was loaded. Reload the page.",
            )
        return request.user


class BearerToken(HttpAuthBase):
    """Authenticates by the token in `Authorization: Bearer …`: 401 where it is not valid, 403 without the scope."""

    openapi_scheme = "bearer"
    openapi_description = (
        "A token from the admin site (API tokens), for scripts. Its scopes here are `read` and `switch`; it can do no "
        "more than its user may. Where a cookie comes along too, the token alone counts."
    )

    def __init__(self, scope: tokens.Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Token | None:
        """Return the token, and make its user the request's; None where the request has none."""
        request.takes_tokens = True  # type: ignore[attr-defined]
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        try:
            row = tokens.find(token.strip())
            user = row.user
        except tokens.Invalid as error:
            raise HttpError(401, str(error)) from None
        except ObjectDoesNotExist:
            raise HttpError(401, "The user of this token has just been deleted.") from None
        if self.scope not in row.scopes:
            raise HttpError(403, f"The token “{row}” lacks the scope “{self.scope}”.")
        request.user = user
        return row


signed_in = SessionCookie()
_or_token = SessionCookie(", or a token as “Authorization: Bearer …”")
to_read = [BearerToken(tokens.Scope.READ), _or_token]
to_switch = [BearerToken(tokens.Scope.SWITCH), _or_token]


def require(request: HttpRequest, *permissions: str) -> None:
    """Raise HttpError(403) unless the user has one of these permissions of models_admin (such as "switch").

    It reads the database: call it from a thread.
    """
    if not has_any(request.user, *permissions):
        needed = " or ".join(f"“{permission}”" for permission in permissions)
        raise HttpError(403, f"Only administrators may do this: your account lacks the permission {needed}.")


def still_may(request: HttpRequest, *permissions: str) -> bool:
    """Whether the sender of this request, which was let in, would be let in now. It reads the database."""
    credential: Any = getattr(request, "auth", None)
    if isinstance(credential, Token):
        token = tokens.valid(credential.pk).select_related("user").first()
        return token is not None and has_any(token.user, *permissions)
    session = type(request.session)(request.session.session_key)
    return has_any(get_user(SimpleNamespace(session=session)), *permissions)  # type: ignore[arg-type]
