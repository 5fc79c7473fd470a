"""An account that has written for years goes without holding up anybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client
from support.plans import asked, walks

from chat import conversations
from chat.models import Conversation, Message
from models_admin import events
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


@pytest.mark.django_db(transaction=True)
def test_no_transaction_deletes_more_than_some_messages(admin_client: Client, leaver: User) -> None:
    uncommitted = largest = 0

    def committed() -> None:
        nonlocal uncommitted
        uncommitted = 0

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal largest, uncommitted
        if sql.startswith('DELETE FROM "chat_message"'):
            uncommitted += len(params)
            largest = max(largest, uncommitted)
            transaction.on_commit(committed)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        admin_client.post(f"/admin/auth/user/{leaver.pk}/delete/", CONFIRMED)
    assert 0 < largest <= 1000
    assert not Conversation.objects.filter(owner=leaver.pk).exists()


def test_deleting_walks_through_nothing(leaver: User) -> None:
    found = walks(lambda: conversations.delete_all(leaver.pk))
    assert not found, "\n".join(found)


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("permissions", "form", "status"),
    [
        ([], CONFIRMED, 403),
        (["view_user"], CONFIRMED, 403),
        (["view_user", "delete_user"], {}, 200),  # which only asks
        (["view_user", "delete_user"], {**CONFIRMED, "_to_field": "password"}, 400),
    ],
    ids=["nothing", "only to see", "but has not confirmed", "by another field"],
)
def test_what_django_does_not_delete_loses_nothing(
    client: Client, leaver: User, permissions: list[str], form: dict[str, str], status: int
) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(staff)
    before = Message.objects.filter(conversation__owner=leaver).count()
    assert client.post(f"/admin/auth/user/{leaver.pk}/delete/", form).status_code == status
    assert Message.objects.filter(conversation__owner=leaver).count() == before
    assert User.objects.get(pk=leaver.pk).is_active


def test_what_runs_for_an_account_is_stopped_before_its_messages_go(
    leaver: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(events, "send", lambda kind, **facts: told.append((kind, facts)))
    talk = Conversation.objects.create(owner=leaver)
    asked_for = talk.messages.create(role="user", status="complete", text="Hello")
    running = talk.messages.create(parent=asked_for, role="assistant", status="streaming", text="Once")
    before: list[Any] = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('DELETE FROM "chat_message"') and not before:
            stopped = not Message.objects.filter(status="streaming", stop_requested=None).exists()
            before.extend([stopped, list(told), User.objects.get(pk=leaver.pk).is_active])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        conversations.delete_all(leaver.pk)
    stop = ("stop", {"message": running.pk})
    assert before == [True, [stop], False]
