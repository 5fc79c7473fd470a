"""What an attacker may try on a running Gantry: other sites' sockets, bodies without end; and the headers that protect."""

from __future__ import annotations

import pytest
import requests
import websockets
from support.people import Person
from support.tabby import Tabby
from websockets.sync.client import connect

SIGN_IN = "/accounts/login/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", None])
@pytest.mark.parametrize("path", ["/ws/models/", "/ws/chat/00000000-0000-4000-8000-000000000000/"])
def test_a_socket_of_another_site_is_refused(
    tabby: Tabby, admin: Person, path: str, origin: str | None
) -> None:
    cookie = {"Cookie": f"session_id={admin.cookie}"}
    with (
        pytest.raises(websockets.InvalidStatus) as refused,
        connect(admin.url.replace("http", "ws", 1) + path, additional_headers=cookie, origin=origin),  # type: ignore[arg-type]
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/api/admin/models/switch", "/api/conversations", "/admin/models_admin/tabbymodel/1/switch/", SIGN_IN],
)
def test_a_body_without_end_is_refused(tabby: Tabby, admin: Person, path: str) -> None:
    headers = {
        "Cookie": f"session_id={admin.cookie}; csrftoken={admin.session.cookies['csrftoken']}",
        "Content-Type": "application/json"
        if path.startswith("/api")
        else "application/x-www-form-urlencoded",
        "Origin": admin.url,
    }
    answer = requests.post(
        admin.url + path, data=b"x" * 20_000_000, headers=headers, timeout=60, allow_redirects=False
    )
    assert answer.status_code in (400, 403, 413)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        (SIGN_IN, 302),
        ("/admin/", 200),
        ("/admin/models_admin/tabbymodel/", 200),
        ("/admin/models_admin/switch/plots/", 200),
        ("/api/docs", 200),
        ("/api/openapi.json", 200),
        ("/api/models", 200),
        ("/nothing/here", 404),
        ("/api/nothing", 404),
        ("/static/chat/base.css", 200),
        ("/static/nothing.css", 404),
    ],
)
def test_each_answer_carries_the_strict_headers(tabby: Tabby, admin: Person, path: str, status: int) -> None:
    answer = admin.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_wrong_host_is_refused_with_a_page(tabby: Tabby, admin: Person) -> None:
    answer = requests.get(f"{admin.url}/", headers={"Host": "evil.example"}, timeout=30)
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
