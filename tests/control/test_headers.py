"""Every answer carries the same strict headers, whichever page, error or part of Gantry it comes from."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path, reverse

from gantry_site.middleware import HEADERS
from gantry_site.urls import urlpatterns as usual
from models_admin.models import TabbyModel

ERRORS = {
    400: "This could not be understood",
    403: "Not allowed",
    404: "Nothing here",
    500: "Something went wrong",
}


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


urlpatterns = [path("breaks/", breaks), *usual]


def assert_strict(answer: Any) -> None:
    where = f"{answer.request['PATH_INFO']} ({answer.status_code})"
    for name, value in HEADERS.items():
        assert answer.headers.get(name) == value, where
    policy = answer.headers["Content-Security-Policy"]
    for words in ("default-src 'self'", "frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'"):
        assert words in policy
    assert "unsafe" not in policy


def assert_no_inline(answer: Any) -> None:
    """What the policy forbids is not there: it would not work."""
    text = b"".join(answer).decode()
    if "text/html" not in answer.headers.get("Content-Type", ""):
        return
    where = answer.request["PATH_INFO"]
    assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))[^>]*>", text), where
    assert not re.search(r"<style|\sstyle=\"|\son[a-z]+=\"|javascript:", text), where


@pytest.fixture
def pages(catalog: dict[str, TabbyModel]) -> list[str]:
    """The addresses of all pages of the admin site, and of the others."""
    rows = {TabbyModel: next(iter(catalog.values())).pk, User: User.objects.first()}
    found = ["/", "/accounts/login/", "/admin/", "/admin/login/", "/admin/password_change/", "/admin/jsi18n/"]
    found += ["/healthz", "/readyz", "/api/docs", "/api/openapi.json", "/api/admin/models", "/api/models"]
    found += ["/static/chat/base.css", "/static/admin/css/base.css", "/favicon.ico", "/api/admin/switches"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        pk = getattr(rows.get(model), "pk", rows.get(model))
        if pk is not None:
            found += [reverse(f"{name}_{page}", args=[pk]) for page in ("change", "history", "delete")]
    found += [reverse("admin:models_admin_tabbymodel_switch", args=[rows[TabbyModel]])]
    found += [reverse("admin:models_admin_tabbymodel_unload")]
    return found


def test_all_pages(admin_client: Client, pages: list[str]) -> None:
    for page in pages:
        answer = admin_client.get(page)
        assert answer.status_code < 500, page
        assert_strict(answer)
        assert_no_inline(answer)
        outside = Client().get(page)
        assert_strict(outside)
        assert_no_inline(outside)


@pytest.mark.urls("control.test_headers")
@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_errors(viewer: Client, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    viewer.raise_request_exception = False
    strict = Client(enforce_csrf_checks=True)
    told = {
        400: [viewer.get("/", HTTP_HOST="evil.example")],
        403: [viewer.get("/admin/auth/user/"), strict.post("/accounts/login/", {"username": "a"})],
        404: [viewer.get("/nothing/"), viewer.get("/static/nothing.css"), viewer.get("/api/nothing")],
        405: [viewer.put("/accounts/logout/"), viewer.post("/api/models")],
        500: [viewer.get("/breaks/")],
        401: [Client().get("/api/models")],
    }
    for status, answers in told.items():
        assert [answer.status_code for answer in answers] == [status] * len(answers)
        for answer in answers:
            assert_strict(answer)
        if status in ERRORS and not debug:
            assert ERRORS[status] in answers[0].content.decode()
            assert_no_inline(answers[0])


def test_cookies(client: Client, db: None) -> None:
    User.objects.create_user("ann", password="right")
    client.get("/accounts/login/")
    answer = client.post("/accounts/login/", {"username": "ann", "password": "right"})
    assert answer.status_code == 302
    assert set(client.cookies) == {"session_id", "csrftoken", "signed_in_before"}
    for cookie in client.cookies.values():
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", ""), cookie.key
    assert site.SESSION_COOKIE_NAME == "session_id"
