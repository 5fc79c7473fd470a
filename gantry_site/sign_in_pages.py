"""The pages on which people sign in, the chat's and the admin site's: they count attempts, and answer 429 to too many."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from gantry_site import sign_in


class SignInForm(AuthenticationForm):
    """Name and password. After too many attempts `clean` raises Throttled, which is no error of the form."""

    attempt: sign_in.Attempt | None = None

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if self.request is None or not username or not password:
            return super().clean()
        self.attempt = attempt = sign_in.begin(self.request, username)
        cleaned = super().clean()
        self.request.device_cookie = sign_in.device_cookie(attempt)  # type: ignore[attr-defined]
        return cleaned

    def confirm_login_allowed(self, user: Any) -> None:
        """The password was right, so that the attempt is no failure, whether or not the user may sign in here."""
        if self.attempt is not None:
            self.attempt.succeeded()
        super().confirm_login_allowed(user)


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin site, which lets staff in only."""


class SignIns(MiddlewareMixin):
    """Answers Throttled with a page, and lets browsers remember that somebody has signed in there."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, sign_in.Throttled):
            return None
        page = render(request, "429.html", {"wait": in_words(exception.wait)}, status=429)
        page.headers["Retry-After"] = str(math.ceil(exception.wait.total_seconds()))
        page.headers["Cache-Control"] = "no-store"
        return page

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        cookie = getattr(request, "device_cookie", None)
        if cookie is not None:
            response.set_cookie(
                sign_in.COOKIE,
                cookie,
                max_age=sign_in.COOKIE_AGE,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def in_words(wait: timedelta) -> str:
    """Return a time to wait in words, rounded up: “5 minutes”, “40 seconds”."""
    seconds = max(1, math.ceil(wait.total_seconds()))
    number, unit = (math.ceil(seconds / 60), "minute") if seconds > 60 else (seconds, "second")
    return f"{number} {unit}{'' if number == 1 else 's'}"
