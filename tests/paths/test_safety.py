"""The headers that protect, as a running Gantry sends them; a name not its own. (Sizes and sockets: test_bounds.py.)"""

from __future__ import annotations

import pytest
import requests
from support.people import Person
from support.tabby import Tabby

SIGN_IN = "/accounts/login/"


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


@pytest.mark.parametrize(
    "query", ["name__regex=^(.|.)*%23$", "display_name__iregex=x", "family=%00", "q=%00"]
)
@pytest.mark.parametrize("page", ["models_admin/tabbymodel", "models_admin/switch", "auth/user"])
def test_an_address_cannot_ask_the_database_for_anything(admin: Person, page: str, query: str) -> None:
    answer = admin.get(f"/admin/{page}/?{query}")
    assert answer.status_code == 400
    assert "This could not be understood" in answer.text


def test_a_wrong_host_is_refused_with_a_page(tabby: Tabby, admin: Person) -> None:
    answer = requests.get(f"{admin.url}/", headers={"Host": "evil.example"}, timeout=30)
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
