"""How often one may try to sign in: the counts, what ends them, and what the page says."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from support.tabby import until

from gantry_site import sign_in
from gantry_site.addresses import client_address, source_of
from gantry_site.models import SignInCount
from gantry_site.sign_in_pages import in_words

CHAT, ADMIN = "/accounts/login/", "/admin/login/?next=/admin/"
RIGHT = "correct-horse"


@pytest.fixture(autouse=True)
def _ann(db: None, settings: Any) -> None:
    settings.SIGN_IN_ATTEMPTS, settings.SIGN_IN_ATTEMPTS_PER_ADDRESS = 3, 7
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_superuser("ann", password=RIGHT)


def tries(name: str, password: str = "wrong", *, page: str = CHAT, at: str = "192.0.2.1", **more: Any) -> Any:
    """The answer to one try, from a browser that has never been here."""
    client: Client = more.pop("client", None) or Client()
    return client.post(page, {"username": name, "password": password}, REMOTE_ADDR=at, **more)


def tries_in_vain(name: str, times: int, **how: Any) -> None:
    assert [tries(name, **how).status_code for _ in range(times)] == [200] * times


@pytest.mark.parametrize("page", [CHAT, ADMIN], ids=["chat", "admin"])
def test_after_too_many_wrong_passwords_the_right_one_is_refused_too(page: str) -> None:
    tries_in_vain("ann", 3, page=page)
    refused = tries("ann", RIGHT, page=page)
    assert refused.status_code == 429
    assert 295 < int(refused["Retry-After"]) <= 300
    assert "You can try again in 5 minutes" in refused.content.decode()
    assert "session_id" not in refused.cookies
    assert tries("ann", RIGHT, page=page, at="192.0.2.2").status_code == 302, "from elsewhere"


def test_a_right_password_counts_as_right_where_its_user_may_not_come_in() -> None:
    User.objects.create_user("bob", password=RIGHT)
    tries_in_vain("bob", 5, page=ADMIN, password=RIGHT)
    assert tries("bob", RIGHT).status_code == 302


def test_both_pages_count_together() -> None:
    tries_in_vain("ann", 2)
    tries_in_vain("Ann", 1, page=ADMIN)
    assert tries("ann", RIGHT).status_code == 429


def test_the_cool_off_ends_and_tries_meanwhile_do_not_prolong_it() -> None:
    tries_in_vain("ann", 3)
    ends = SignInCount.objects.exclude(name="").get().ends_at
    assert tries("ann").status_code == 429
    assert SignInCount.objects.exclude(name="").get().ends_at == ends
    SignInCount.objects.update(ends_at=timezone.now())
    assert tries("ann", RIGHT).status_code == 302


def test_old_mistakes_are_forgotten() -> None:
    tries_in_vain("ann", 2)
    SignInCount.objects.update(ends_at=timezone.now())
    tries_in_vain("ann", 2)
    assert tries("ann", RIGHT).status_code == 302


def test_signing_in_forgets_what_went_wrong() -> None:
    for _ in range(4):
        tries_in_vain("ann", 1)
        assert tries("ann", RIGHT).status_code == 302
    place = SignInCount.objects.get()
    assert (place.name, place.failures) == ("", 4), "the place's count goes on, but for what was right"


def test_one_place_has_a_higher_bound_for_all_names() -> None:
    for number in range(7):
        tries_in_vain(f"user{number}", 1)
    assert tries("ann", RIGHT).status_code == 429
    assert tries("ann", RIGHT, at="192.0.2.2").status_code == 302


def test_who_is_signed_in_is_not_disturbed_and_cannot_clear_the_count() -> None:
    User.objects.create_user("bob", password=RIGHT)
    bob = Client()
    bob.force_login(User.objects.get(username="bob"))
    tries_in_vain("ann", 3)
    assert tries("ann", client=bob).status_code == 302, "the page sends whoever is signed in to the chats"
    assert bob.get("/").status_code == 200
    assert tries("ann", RIGHT).status_code == 429


def test_a_browser_that_was_signed_in_before_has_a_count_of_its_own() -> None:
    mine = Client()
    assert tries("ann", RIGHT, client=mine).status_code == 302
    del mine.cookies["session_id"]
    cookie = mine.cookies[sign_in.COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    tries_in_vain("ann", 3)
    tries_in_vain("bob", 3)
    tries_in_vain("eve", 1)
    assert tries("ann", RIGHT).status_code == 429
    assert tries("ann", RIGHT, client=mine).status_code == 302, "whatever others tried from the same address"
    del mine.cookies["session_id"]
    assert tries("bob", client=mine).status_code == 429, "it speaks for one name only"
    tries_in_vain("ann", 3, client=mine)
    assert tries("ann", RIGHT, client=mine).status_code == 429, "and is counted too"


@pytest.mark.parametrize("value", ["", "x", "W10:x:y", "\x00", "é"])
def test_a_made_up_cookie_counts_for_nothing(value: str) -> None:
    client = Client()
    client.cookies[sign_in.COOKIE] = value
    tries_in_vain("ann", 3, client=client)
    assert tries("ann", RIGHT, client=client).status_code == 429


def test_nothing_tells_whether_there_is_such_a_user() -> None:
    def said(name: str) -> list[tuple[int, str]]:
        answers = [tries(name, at="192.0.2.9" if name == "ann" else "192.0.2.10") for _ in range(4)]
        texts = [answer.content.decode().replace(name, "…") for answer in answers]
        return [
            (answer.status_code, text.partition("csrfmiddlewaretoken")[0] + text.partition("<label")[2])
            for answer, text in zip(answers, texts, strict=True)
        ]

    assert said("ann") == said("nobody")


def test_what_was_typed_as_a_name_is_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Some type their password there."""
    with caplog.at_level(logging.INFO, "gantry_site"):
        tries_in_vain("hunter2-my-password", 3)
    assert "3 sign-ins from 192.0.2.1 with one name went wrong" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in str(list(SignInCount.objects.values()))


def waiting() -> int:
    """How many of PostgreSQL's connections wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_tries_at_the_same_instant_are_all_counted() -> None:
    tries_in_vain("ann", 1)
    answers: list[int] = []

    def hammer() -> None:
        answers.append(tries("ann").status_code)
        connection.close()

    threads = [Thread(target=hammer) for _ in range(8)]
    with transaction.atomic():
        list(SignInCount.objects.select_for_update())
        for thread in threads:
            thread.start()
        if connection.vendor == "postgresql":  # SQLite's lock lets nobody even read what is about to change
            until(lambda: waiting() == len(threads), "eight tries to wait for one lock")
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 2 + [429] * 6
    assert SignInCount.objects.get(name="").failures == 3


def test_old_counts_are_deleted() -> None:
    SignInCount.objects.create(name="a", source="b", ends_at=timezone.now() - timedelta(hours=2))
    tries_in_vain("ann", 1)
    assert not SignInCount.objects.filter(name="a").exists()


def test_an_administrator_can_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    tries_in_vain("ann", 3)
    call_command("allow_sign_in", "bob")
    assert tries("ann", RIGHT).status_code == 429
    call_command("allow_sign_in", "Ann")
    assert tries("ann", RIGHT).status_code == 302
    tries_in_vain("bob", 3)
    tries_in_vain("eve", 1)
    assert tries("ann", RIGHT).status_code == 429
    call_command("allow_sign_in", address="192.0.2.1")
    assert tries("ann", RIGHT).status_code == 302
    call_command("allow_sign_in", all=True)
    said = capsys.readouterr().out.splitlines()
    assert said == ["None was counted.", "1 count forgotten.", "3 counts forgotten.", "1 count forgotten."]
    with pytest.raises(CommandError, match="Say whose"):
        call_command("allow_sign_in")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.5, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("::ffff:10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.7", "None"),
    ],
)
def test_only_a_trusted_proxy_is_believed(settings: Any, peer: str, forwarded: str, client: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert str(client_address(request)) == client


def test_an_ipv6_network_of_one_customer_is_one_place() -> None:
    one, same, other = "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"
    tries_in_vain("ann", 2, at=one)
    tries_in_vain("ann", 1, at=same)
    assert tries("ann", RIGHT, at=same).status_code == 429
    assert tries("ann", RIGHT, at=other).status_code == 302
    assert source_of(None) == "unknown"


def test_the_wait_is_told_in_words() -> None:
    told = [in_words(timedelta(seconds=seconds)) for seconds in (0.1, 1.5, 60, 60.2, 299.5)]
    assert told == ["1 second", "2 seconds", "60 seconds", "2 minutes", "5 minutes"]
