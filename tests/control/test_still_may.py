"""Who follows a switch for long is asked again whether he may: what was taken away meanwhile counts."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from control_rows import QWEN, MakeUser, running
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from models_admin.api import tokens
from models_admin.api.auth import still_may
from models_admin.models import State, Switch, TabbyModel, Token
from models_admin.permissions import LOOKING

CHANGES = ["signed out", "closed account", "without the permission", "another password"]


@pytest.fixture
def viewer(make_user: MakeUser) -> User:
    return make_user("viewer", "view_tabbymodel", password="right")


def take_away(user: User, how: str) -> None:
    match how:
        case "closed account":
            User.objects.filter(pk=user.pk).update(is_active=False)
        case "without the permission":
            user.user_permissions.clear()
        case "another password":
            user.set_password("another")
            user.save()


@pytest.mark.parametrize("how", CHANGES)
def test_by_a_session(viewer: User, how: str) -> None:
    client = Client()
    client.force_login(viewer)
    request: Any = SimpleNamespace(session=client.session)
    assert still_may(request, *LOOKING)
    assert not still_may(request, "switch", "unload")
    if how == "signed out":
        client.logout()
    take_away(viewer, how)
    assert not still_may(request, *LOOKING)


@pytest.mark.parametrize("how", ["revoked", "expired", *CHANGES[1:3]])
def test_by_a_token(viewer: User, how: str) -> None:
    row, _ = tokens.make(viewer, "follower", ["read"])
    request: Any = SimpleNamespace(auth=row)
    assert still_may(request, *LOOKING)
    assert not still_may(request, "switch", "unload")
    if how == "revoked":
        assert tokens.revoke(Token.objects.all()) == 1
    if how == "expired":
        Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    take_away(viewer, how)
    assert not still_may(request, *LOOKING)


def test_a_token_that_was_revoked_keeps_the_time_of_the_first_time(viewer: User) -> None:
    tokens.make(viewer, "follower", ["read"])
    assert tokens.revoke(Token.objects.all()) == 1
    first = Token.objects.get().revoked_at
    assert tokens.revoke(Token.objects.all()) == 0
    assert Token.objects.get().revoked_at == first


def test_a_token_is_its_owners_alone(viewer: User, make_user: MakeUser) -> None:
    row, token = tokens.make(viewer, "follower", ["read"])
    assert tokens.own(viewer, token) == row
    assert tokens.own(make_user("other"), token) is None


@pytest.mark.parametrize("by", ["page", "API"])
@pytest.mark.parametrize("target", [QWEN, ""], ids=["a switch", "an unload"])
@pytest.mark.parametrize("permission", ["switch", "unload"])
def test_who_may_ask_for_a_change_may_cancel_it_and_nobody_else(
    catalog: dict[str, TabbyModel], make_user: MakeUser, by: str, target: str, permission: str
) -> None:
    client = Client()
    client.force_login(make_user("operator", permission))
    under_way = running(State.LOADING, target=target)
    allowed = permission == ("switch" if target else "unload")
    if by == "page":
        status = client.post(f"/admin/models_admin/tabbymodel/cancel/{under_way.pk}/").status_code
        assert status == (302 if allowed else 403)
    else:
        assert client.delete(f"/api/admin/switches/{under_way.pk}").status_code == (200 if allowed else 403)
    assert (Switch.objects.get(pk=under_way.pk).cancel_requested is not None) == allowed
