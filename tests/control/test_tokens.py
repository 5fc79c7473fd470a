"""API tokens: made and shown once in the admin site, kept as a hash, good for what they are for and no longer."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from models_admin.api import tokens
from models_admin.models import Switch, TabbyModel, Token

PAGE = "/admin/models_admin/token/"
LIST, SWITCH = "/api/admin/models", "/api/admin/models/switch"
Catalog = dict[str, TabbyModel]


def made(client: Client, *scopes: str, **form: str) -> str:
    led = client.post(f"{PAGE}add/", {"name": "nightly", "scopes": scopes, **form})
    assert (led.status_code, led["Location"]) == (302, f"{PAGE}made/"), led
    page = client.get(led["Location"])
    assert page.status_code == 200, page
    assert "no-store" in page["Cache-Control"]
    found = re.search(r'id="token"[^>]* value="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def ask(path: str, token: str, body: Any = None, **headers: str) -> Any:
    """As a script does: no cookie."""
    sent = {"Authorization": f"Bearer {token}", **headers}
    client = Client(enforce_csrf_checks=True)
    if body is None:
        return client.get(path, headers=sent)
    return client.post(
        path, body, content_type="application/json", headers={"Prefer": "respond-async", **sent}
    )


def test_a_token_lets_a_script_in_as_its_user(admin_client: Client, catalog: Catalog) -> None:
    token = made(admin_client, "read", "switch")
    assert ask(LIST, token).json()["models"][0] == {"id": LLAMA, "name": LLAMA, "active": True}
    assert ask(SWITCH, token, {"model_id": QWEN}).status_code == 202
    assert Switch.objects.get().requested_by == User.objects.get(username="admin")
    assert Token.objects.get().last_used is not None


def test_a_user_who_is_deleted_just_then_is_nobody(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, find = made(admin_client, "read"), tokens.find

    def found_and_deleted(sent: str) -> Token:
        row = find(sent)
        User.objects.all().delete()
        return row

    monkeypatch.setattr(tokens, "find", found_and_deleted)
    answer = ask(LIST, token)
    assert (answer.status_code, answer.json()) == (
        401,
        {"detail": "The user of this token has just been deleted."},
    )


def test_it_is_shown_once_and_kept_as_a_hash(admin_client: Client, catalog: Catalog) -> None:
    token = made(admin_client, "read")
    row = Token.objects.get()
    assert token not in str(row.__dict__)
    assert len(token) > 40
    for page in (PAGE, f"{PAGE}{row.pk}/change/", "/admin/", f"{PAGE}{row.pk}/history/"):
        text = admin_client.get(page, follow=True).content.decode()
        assert token not in text
        assert row.digest not in text


def test_its_page_loaded_anew_shows_it_no_more_and_makes_no_other(
    admin_client: Client, catalog: Catalog
) -> None:
    token = made(admin_client, "read")
    again = admin_client.get(f"{PAGE}made/", follow=True)
    assert again.redirect_chain == [(PAGE, 302)]
    assert "A token is shown once." in again.content.decode()
    assert token not in again.content.decode()
    assert Token.objects.count() == 1
    assert Token.objects.get().last_used is None


def test_on_its_way_to_the_page_it_is_in_a_cookie_for_that_page_alone(
    admin_client: Client, settings: Any
) -> None:
    settings.SESSION_COOKIE_SECURE = True
    led = admin_client.post(f"{PAGE}add/", {"name": "nightly", "scopes": ["read"]})
    cookie = led.cookies["new_token"]
    assert tokens.find(cookie.value)
    assert cookie.value not in led["Location"] + led.content.decode()
    assert "no-store" in led["Cache-Control"]
    assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == (f"{PAGE}made/", 60, "Strict")
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie.value not in str([session.get_decoded() for session in Session.objects.all()])
    shown = admin_client.get(led["Location"])
    assert cookie.value in shown.content.decode()
    assert (shown.cookies["new_token"].value, shown.cookies["new_token"]["max-age"]) == ("", 0)


def test_a_token_of_somebody_else_is_not_shown(admin_client: Client, make_user: MakeUser) -> None:
    _, token = tokens.make(make_user("mallory"), "planted", ["read"])
    for planted in (token, "gantry_nonsense", "x" * 500):
        admin_client.cookies["new_token"] = planted
        assert admin_client.get(f"{PAGE}made/")["Location"] == PAGE


def test_its_state_is_told_and_revoking_looks_dangerous(admin_client: Client, catalog: Catalog) -> None:
    made(admin_client, "read")
    assert '<span class="gantry-badge gantry-good">Active</span>' in admin_client.get(PAGE).content.decode()
    page = admin_client.get(f"{PAGE}{Token.objects.get().pk}/change/").content.decode()
    assert 'value="Revoke" class="gantry-danger"' in page


def test_a_scope_is_a_limit(admin_client: Client, catalog: Catalog) -> None:
    reads, switches = made(admin_client, "read"), made(admin_client, "switch")
    refused = ask(SWITCH, reads, {"model_id": QWEN})
    assert refused.status_code == 403
    assert "lacks the scope “switch”" in refused.json()["detail"]
    assert ask(LIST, switches).status_code == 403
    assert not Switch.objects.exists()


def test_a_token_can_do_no_more_than_its_user(catalog: Catalog, make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user("looker", "view_tabbymodel"))
    token = made(client, "read", "switch")
    assert ask(LIST, token).status_code == 200
    assert "lacks the permission" in ask(SWITCH, token, {"model_id": QWEN}).json()["detail"]


def test_what_ends_a_token(admin_client: Client, catalog: Catalog) -> None:
    token = made(admin_client, "read")
    row = Token.objects.get()
    for change, back, why in (
        ({"revoked_at": timezone.now()}, {"revoked_at": None}, "revoked"),
        ({"expires_at": timezone.now()}, {"expires_at": None}, "expired"),
    ):
        Token.objects.update(**change)
        answer = ask(LIST, token)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="Gantry"')
        assert why in answer.json()["detail"]
        Token.objects.update(**back)
        assert ask(LIST, token).status_code == 200
    User.objects.update(is_active=False)
    assert ask(LIST, token).status_code == 401
    User.objects.update(is_active=True)
    admin_client.post(f"{PAGE}{row.pk}/revoke/")
    assert ask(LIST, token).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "gantry_x", "gantry_" + "x" * 10_000, "gantry_ä", "gantry_a b"])
def test_what_is_no_token_is_401(catalog: Catalog, token: str) -> None:
    answer = ask(LIST, token)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer


def test_a_wrong_token_is_not_mended_by_a_cookie(admin_client: Client, catalog: Catalog) -> None:
    assert admin_client.get(LIST, headers={"Authorization": "Bearer gantry_wrong"}).status_code == 401
    assert admin_client.get(LIST, headers={"Authorization": "Basic YTpi"}).status_code == 200


def test_a_token_needs_no_origin_and_opens_no_conversations(admin_client: Client, catalog: Catalog) -> None:
    token = made(admin_client, "read", "switch")
    assert ask(LIST, token, Origin="https://elsewhere.example").status_code == 200
    assert ask("/api/conversations", token).status_code == 401


def test_everybody_sees_and_revokes_only_their_own(
    admin_client: Client, catalog: Catalog, make_user: MakeUser
) -> None:
    client = Client()
    client.force_login(make_user("looker", "view_tabbymodel"))
    theirs, mine = made(admin_client, "read"), made(client, "read", name="mine")
    other = Token.objects.get(user__username="admin")
    assert "nightly" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}{other.pk}/revoke/").status_code == 404
    client.post(PAGE, {"action": "revoke_selected", "_selected_action": [other.pk]})
    assert ask(LIST, theirs).status_code == 200
    assert "mine" in admin_client.get(PAGE).content.decode()
    admin_client.post(PAGE, {"action": "revoke_selected", "_selected_action": [other.pk + 1]})
    assert ask(LIST, mine).status_code == 401


def test_nothing_is_changed_or_deleted(admin_client: Client, catalog: Catalog) -> None:
    made(admin_client, "read")
    page = f"{PAGE}{Token.objects.get().pk}/"
    assert admin_client.post(f"{page}change/", {"name": "x", "scopes": ["switch"]}).status_code == 403
    assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{page}revoke/").status_code == 405


def test_a_token_that_would_be_dead_at_birth_is_refused(admin_client: Client, catalog: Catalog) -> None:
    form = {"name": "x", "scopes": ["read"], "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
    assert "over already" in admin_client.post(f"{PAGE}add/", form).content.decode()
    assert not Token.objects.exists()


def test_use_is_noted_once_a_minute(catalog: Catalog, make_user: MakeUser) -> None:
    row, token = tokens.make(make_user("a"), "x", ["read"])
    tokens.find(token)
    first = Token.objects.get().last_used
    tokens.find(token)
    assert Token.objects.get().last_used == first
    Token.objects.update(last_used=timezone.now() - timedelta(minutes=2))
    tokens.find(token)
    assert Token.objects.get(pk=row.pk).last_used != first


def test_a_name_shows_its_control_characters(admin_client: Client, catalog: Catalog) -> None:
    made(admin_client, "read", name="nightly \x1b[2J\u202e")
    assert Token.objects.get().name == "nightly ␛[2J\ufffd"


LIMITS = {"calls_at_once": "3", "requests_per_minute": "", "tokens_per_day": "0", "speaks_for_others": "on"}


def test_a_superuser_sets_the_limits_of_a_token_and_nobody_else(
    admin_client: Client, make_user: MakeUser, catalog: Catalog
) -> None:
    staff, owner = Client(), make_user("staff", is_staff=True)
    staff.force_login(owner)
    row, token = tokens.make(owner, "theirs", ["chat"])
    page = f"{PAGE}{row.pk}/change/"
    assert "Tokens a day" in staff.get(page).content.decode()
    assert staff.post(page, LIMITS).status_code == 403
    row.refresh_from_db()
    assert row.calls_at_once is None

    assert admin_client.post(page, {**LIMITS, "name": "other", "scopes": ["switch"]}).status_code == 302
    row.refresh_from_db()
    assert (row.calls_at_once, row.requests_per_minute, row.tokens_per_day) == (3, None, 0)
    assert row.speaks_for_others
    assert (row.name, row.scopes, row.user) == ("theirs", ["chat"], owner)
    assert tokens.find(token) == row


def test_a_token_that_is_not_for_chat_or_revoked_has_no_limits_to_set(
    admin_client: Client, catalog: Catalog
) -> None:
    made(admin_client, "read")
    page = f"{PAGE}{Token.objects.get().pk}/change/"
    assert "Tokens a day" not in admin_client.get(page).content.decode()
    assert admin_client.post(page, LIMITS).status_code == 403
    Token.objects.update(scopes=["chat"], revoked_at=timezone.now())
    assert admin_client.post(page, LIMITS).status_code == 403
