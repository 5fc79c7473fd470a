"""Forms that are refused: the page tells the true cause, and which setting or header to change; `doctor` hears of it too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gantry_site import refusals
from gantry_site.models import SeenFault

SIGN_IN = "/accounts/login/"
HERE = "127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _database(db: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1", "gantry.example.org"]


def refused(host: str, headers: dict[str, str], *, cookie: bool = True, token: str = "", **extra: Any) -> str:
    """What the page says, when a form comes with these headers."""
    client = Client(enforce_csrf_checks=True)
    if cookie:
        client.get(SIGN_IN, headers={"Host": host}, **extra)
    token = token or (client.cookies["csrftoken"].value if cookie else "x" * 64)
    form = {"username": "ann", "password": "wrong", "csrfmiddlewaretoken": token}
    answer = client.post(SIGN_IN, form, headers={"Host": host, **headers}, **extra)
    assert answer.status_code == 403, answer.status_code
    return answer.content.decode()


def refused_of(person: User, origin: str) -> str:
    """What the page says to somebody who has signed in, when a form comes from a page at `origin`."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    answer = client.post("/accounts/logout/", headers={"Host": HERE, "Origin": origin})
    assert answer.status_code == 403, answer.status_code
    return answer.content.decode()


def long_ago() -> None:
    """What was seen was seen an hour ago."""
    SeenFault.objects.update(seen_at=timezone.now() - timedelta(hours=1))


def known() -> list[tuple[str, str]]:
    return [(each.level, f"{each.title} {each.hint}") for each in refusals.findings()]


def test_a_proxy_without_host_is_named() -> None:
    text = refused(HERE, {"Origin": "https://gantry.example.org"})
    for words in (
        "opened at https://gantry.example.org",
        f"asked for {HERE}",
        "proxy_set_header Host",
        "CSRF_TRUSTED_ORIGINS",
    ):
        assert words in text
    assert "too old" not in text
    ((level, words),) = known()
    assert level == "warning"
    assert "proxy_set_header Host $http_host" in words


def test_https_in_front_without_the_setting_is_named() -> None:
    text = refused("gantry.example.org", {"Origin": "https://gantry.example.org"})
    assert "reached Gantry over plain HTTP" in text
    assert "set HTTPS=true" in text
    assert "too old" not in text
    assert "set HTTPS=true" in known()[0][1]


def test_with_the_setting_the_missing_header_is_named(settings: Any) -> None:
    settings.HTTPS = True
    text = refused("gantry.example.org", {"Origin": "https://gantry.example.org"})
    assert "X-Forwarded-Proto: https" in text
    assert "set HTTPS=true, and" not in text


def test_a_port_that_the_proxy_leaves_out_is_named() -> None:
    text = refused("gantry.example.org", {"Origin": "http://gantry.example.org:8443"})
    assert "Host header with its port" in text


def test_a_form_that_is_too_old_still_says_so() -> None:
    text = refused(HERE, {"Origin": f"http://{HERE}"}, token="y" * 64)
    assert "This form is too old" in text
    assert known() == [("ok", "No request of the last day was spoiled by a reverse proxy ")]


def test_a_browser_without_cookies_is_told() -> None:
    assert "sent no cookie" in refused(HERE, {"Origin": f"http://{HERE}"}, cookie=False)


def test_secure_cookies_over_plain_http_are_told(settings: Any) -> None:
    settings.HTTPS = True
    assert "over https only" in refused(HERE, {"Origin": f"http://{HERE}"}, cookie=False)


def test_another_site_is_no_fault_of_a_proxy() -> None:
    text = refused(HERE, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert "page of another site" in text
    assert "evil" not in text
    assert not SeenFault.objects.exists()


def test_a_name_that_is_not_allowed_is_named() -> None:
    answer = Client().get("/", headers={"Host": "chat.example.org"})
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "by the name chat.example.org" in text
    assert "ALLOWED_HOSTS" in text


EVIL = "https://evil.example"


class TestStrangers:
    """Anybody can send a form with any Origin: who does is told, and the doctor is fed no address."""

    @pytest.mark.parametrize("origin", [EVIL, "https://gantry.example.org:666"])
    def test_no_address_of_theirs_becomes_advice(self, origin: str, caplog: pytest.LogCaptureFixture) -> None:
        assert origin in refused("gantry.example.org", {"Origin": origin})
        ((level, words),) = known()
        assert level == "warning"
        assert "had not signed in" in words
        for made_up in ("evil", "666", "CSRF_TRUSTED_ORIGINS"):
            assert made_up not in words
        assert f"put {origin}" not in caplog.text

    def test_whoever_has_signed_in_is_believed(self) -> None:
        ann = User.objects.create_user("ann")
        refused(HERE, {"Origin": EVIL})
        assert "http://gantry.example.org" in refused_of(ann, "http://gantry.example.org")
        ((_, words),) = known()
        assert "put http://gantry.example.org into CSRF_TRUSTED_ORIGINS" in words

    def test_they_do_not_take_the_place_of_a_true_fault(self) -> None:
        refused_of(User.objects.create_user("ann"), "http://gantry.example.org")
        long_ago()
        before = SeenFault.objects.get()
        refused(HERE, {"Origin": EVIL})
        after = SeenFault.objects.get()
        assert (after.title, after.hint, after.seen_at) == (before.title, before.hint, before.seen_at)

    def test_their_own_is_kept_once_a_minute(self) -> None:
        refused(HERE, {"Origin": EVIL})
        first = SeenFault.objects.get().seen_at
        refused(HERE, {"Origin": EVIL})
        assert SeenFault.objects.get().seen_at == first
        long_ago()
        refused(HERE, {"Origin": EVIL})
        assert SeenFault.objects.get().seen_at >= first


class TestSockets:
    def test_a_strangers_handshake_brings_no_address(self) -> None:
        headers = {"Sec-WebSocket-Key": "x", "Host": HERE, "Origin": EVIL, "X-Page-Origin": EVIL}
        assert EVIL in Client().get("/ws/models/", headers=headers).json()["detail"]
        assert "evil" not in str(known())
        assert "WebSockets) do not" in known()[0][1]

    def test_a_handshake_without_upgrade_is_told_to_the_doctor(self) -> None:
        answer = Client().get("/ws/models/", headers={"Sec-WebSocket-Key": "x", "Host": HERE})
        assert answer.status_code == 426
        assert "Upgrade" in answer.json()["detail"]
        assert "WebSockets) do not" in known()[0][1]

    def test_a_page_that_asks_why_is_told_which_header_is_missing(self) -> None:
        client = Client()
        client.force_login(User.objects.create_user("ann"))
        for page, words in (
            (f"http://{HERE}", "proxy_set_header Upgrade"),
            ("http://gantry.example.org", "proxy_set_header Host"),
            (f"https://{HERE}", "HTTPS=true"),
        ):
            answer = client.get("/ws/models/", headers={"X-Page-Origin": page, "Host": HERE})
            assert answer.status_code == 426
            assert words in answer.json()["detail"]
        assert {each.kind for each in SeenFault.objects.all()} == {"upgrade", "host", "https"}

    def test_strangers_leave_nothing_behind(self) -> None:
        answer = Client().get("/ws/chat/x/", headers={"X-Page-Origin": "http://evil.example", "Host": HERE})
        assert answer.status_code == 426
        assert not SeenFault.objects.exists()
