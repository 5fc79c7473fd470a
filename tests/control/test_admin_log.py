"""Each switch, however it was asked for and however it ended, stands in Django's admin log once."""

from __future__ import annotations

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from support.servers import SERVER

from models_admin.models import Server, Source, State, Switch, TabbyModel
from models_admin.switching import admin_log, observation, transitions
from models_admin.tabby.wire import ModelCard

Catalog = dict[str, TabbyModel]
pytestmark = pytest.mark.django_db


def entries(switch: Switch) -> list[LogEntry]:
    return list(LogEntry.objects.filter(content_type__model="switch", object_id=str(switch.pk)))


def test_a_success_is_entered_under_who_asked(catalog: Catalog, make_user: MakeUser) -> None:
    alice = make_user("alice")
    switch = running(State.VERIFYING, source=Source.API, requested_by=alice)
    assert entries(switch) == []
    transitions.move(switch, State.SUCCEEDED, result=QWEN)
    (entry,) = entries(switch)
    assert entry.user == alice
    assert entry.get_change_message() == f"{LLAMA} → {QWEN}, Succeeded (asked for by API)"


def test_a_failure_says_why_and_what_is_loaded(catalog: Catalog) -> None:
    switch = running(State.ROLLING_BACK, source=Source.RULE, rule="mornings", error="Out of memory.")
    transitions.move(switch, State.FAILED, result=LLAMA)
    (entry,) = entries(switch)
    words = entry.get_change_message()
    assert "rule “mornings”" in words
    assert words.endswith(f": Out of memory. Loaded now: {LLAMA}.")
    assert entry.user.username == admin_log.GANTRY


def test_a_cancelled_one_is_entered_too(catalog: Catalog, make_user: MakeUser) -> None:
    switch = running(State.DRAINING, requested_by=make_user("alice"))
    transitions.cancel(switch, user=make_user("bob"))
    (entry,) = entries(switch)
    assert "Cancelled by bob" in entry.get_change_message()


def test_a_change_from_outside_is_entered_under_gantrys_own_account(catalog: Catalog) -> None:
    from_outside()
    (entry,) = entries(Switch.objects.get())
    assert f"{LLAMA} → {MISTRAL}" in entry.get_change_message()
    assert not entry.user.is_active
    assert not entry.user.has_usable_password()
    from_outside(QWEN)
    assert User.objects.count() == 1


def from_outside(name: str = MISTRAL) -> None:
    observation.observe(SERVER, ModelCard(name, {}), Server.objects.get().epoch)


def test_an_account_that_was_deleted_meanwhile_undoes_nothing(catalog: Catalog, make_user: MakeUser) -> None:
    switch = running(State.VERIFYING, requested_by=make_user("alice"))
    User.objects.get(username="alice").delete()
    transitions.move(switch, State.SUCCEEDED, result=QWEN)
    (entry,) = entries(switch)
    assert entry.user.username == admin_log.GANTRY


def test_the_history_page_shows_it(admin_client: Client, catalog: Catalog) -> None:
    switch = running(State.VERIFYING, requested_by=User.objects.get(username="admin"))
    transitions.move(switch, State.SUCCEEDED, result=QWEN)
    page = admin_client.get(f"/admin/models_admin/switch/{switch.pk}/history/").content.decode()
    assert f"{LLAMA} → {QWEN}, Succeeded" in page
