"""An account that has written for years goes without holding up anybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from support.plans import asked, walks

from chat import conversations
from chat.models import Conversation, Message
from models_admin.models import Switch, Token

CONFIRMED = {"post": "yes"}


@pytest.fixture
def leaver(admin_client: Client, reader: User) -> User:
    return reader


def test_what_goes_is_told_in_figures(admin_client: Client, leaver: User) -> None:
    with asked() as queries:
        page = admin_client.get(f"/admin/auth/user/{leaver.pk}/delete/").content.decode()
    messages = Message.objects.filter(conversation__owner=leaver).count()
    assert f"{messages:,} messages" in page
    assert len(page) < 20_000
    assert len(queries) < 20


def test_no_transaction_deletes_more_than_some_messages(leaver: User) -> None:
    largest = 0

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal largest
        if sql.startswith('DELETE FROM "chat_message"'):
            largest = max(largest, len(params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        conversations.forget(leaver.pk)
    assert 0 < largest <= 1000
    assert not Conversation.objects.filter(owner=leaver).exists()


def test_deleting_walks_through_nothing(leaver: User) -> None:
    found = walks(lambda: conversations.forget(leaver.pk))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("way", ["page", "action"])
def test_the_account_goes_and_its_switches_stay(admin_client: Client, leaver: User, way: str) -> None:
    switches = Switch.objects.count()
    others = Message.objects.exclude(conversation__owner=leaver).count()
    if way == "page":
        answer = admin_client.post(f"/admin/auth/user/{leaver.pk}/delete/", CONFIRMED)
    else:
        chosen = {"action": "delete_selected", "_selected_action": leaver.pk, **CONFIRMED}
        answer = admin_client.post("/admin/auth/user/", chosen)
    assert answer.status_code == 302
    assert not User.objects.filter(pk=leaver.pk).exists()
    assert not Token.objects.filter(user=leaver.pk).exists()
    assert Message.objects.count() == others
    assert Switch.objects.count() == switches


def test_who_may_not_delete_accounts_deletes_nothing(client: Client, leaver: User) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    answer = client.post(f"/admin/auth/user/{leaver.pk}/delete/", CONFIRMED)
    assert answer.status_code in (302, 403)
    assert Conversation.objects.filter(owner=leaver).exists()
