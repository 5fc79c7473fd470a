"""The page “API tokens”, for everybody who may chat: each has their own, for the scope “chat”, and sees a token once."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gateway import token_pages
from models_admin.api import tokens
from models_admin.models import Token

pytestmark = pytest.mark.django_db


def client_of(name: str) -> Client:
    """A browser in which this user, who may not enter the admin site, has signed in."""
    client = Client()
    client.force_login(User.objects.get_or_create(username=name)[0])
    return client


def make(client: Client, name: str = "my editor", days: str = "90") -> str:
    led = client.post("/tokens/", {"name": name, "days": days, "scopes": ["switch"]})
    assert (led.status_code, led["Location"]) == (302, "/tokens/made/"), led.content.decode()
    page = client.get("/tokens/made/")
    assert "no-store" in page["Cache-Control"]
    found = re.search(r'id="token"[^>]* value="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def test_a_token_for_chat_is_made_and_shown_once() -> None:
    mara = client_of("mara")
    token = make(mara)
    row = tokens.find(token)
    assert (row.name, row.user.username, row.scopes) == ("my editor", "mara", ["chat"])
    assert row.expires_at is not None
    again = mara.get("/tokens/made/", follow=True)
    assert again.redirect_chain == [("/tokens/", 302)]
    assert "A token is shown once." in again.content.decode()
    assert token not in again.content.decode()
    assert "my editor" in again.content.decode()
    assert tokens.find(make(mara, days="0")).expires_at is None


def test_its_cookie_is_for_the_page_that_shows_it_alone() -> None:
    led = client_of("mara").post("/tokens/", {"name": "it", "days": "30"})
    cookie = led.cookies["new_token"]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/tokens/made/", "Strict", True)


def test_nobody_sees_or_revokes_what_is_not_his() -> None:
    token = make(client_of("mara"), "of mara")
    pk = Token.objects.get().pk
    noor = client_of("noor")
    assert "of mara" not in noor.get("/tokens/").content.decode()
    assert noor.post(f"/tokens/{pk}/revoke/").status_code == 404
    noor.cookies["new_token"] = token
    assert token not in noor.get("/tokens/made/", follow=True).content.decode()
    assert tokens.find(token)


def test_a_token_is_revoked_at_once() -> None:
    mara = client_of("mara")
    token = make(mara)
    revoke = f"/tokens/{Token.objects.get().pk}/revoke/"
    assert mara.get(revoke).status_code == 405
    page = mara.post(revoke, follow=True).content.decode()
    assert "“my editor” is revoked" in page
    assert "You have none yet." in page
    with pytest.raises(tokens.Invalid, match="revoked"):
        tokens.find(token)


def test_tokens_for_more_than_chat_are_left_to_the_admin_site() -> None:
    mara = client_of("mara")
    row, token = tokens.make(User.objects.get(username="mara"), "nightly", ["chat", "switch"])
    assert "nightly" not in mara.get("/tokens/").content.decode()
    assert mara.post(f"/tokens/{row.pk}/revoke/").status_code == 404
    assert tokens.find(token)


@pytest.mark.parametrize(
    "form", [{"name": "", "days": "30"}, {"name": "x" * 101, "days": "30"}, {"name": "x", "days": "5"}]
)
def test_what_makes_no_sense_is_refused(form: dict[str, str]) -> None:
    answer = client_of("mara").post("/tokens/", form)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert not Token.objects.exists()


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_pages, "MOST", 2)
    mara = client_of("mara")
    make(mara)
    make(mara)
    assert "Revoke one" in html.unescape(mara.post("/tokens/", {"name": "x", "days": "30"}).content.decode())
    Token.objects.update(expires_at=timezone.now())
    make(mara)


def test_a_form_of_another_site_makes_none() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create(username="mara"))
    assert strict.post("/tokens/", {"name": "x", "days": "30"}).status_code == 403


def test_who_has_not_signed_in_signs_in_first() -> None:
    for path in ("/tokens/", "/tokens/made/", "/tokens/1/revoke/"):
        assert Client().get(path)["Location"].startswith("/accounts/login/?next=/tokens/")


def test_the_chats_menu_leads_there() -> None:
    assert 'href="/tokens/"' in client_of("mara").get("/").content.decode()
