"""A database from before rows named their server: nothing is lost, and all belongs to the one that there was."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from support.servers import SERVER

from models_admin.models import Lease, Load, Server, Switch

BEFORE = ("models_admin", "0014_load_succeeded")


@pytest.fixture
def old(transactional_db: None) -> Iterator[Any]:
    """The models as they were, on tables as they were."""
    call_command("migrate", *BEFORE, verbosity=0)
    yield MigrationLoader(connection).project_state(BEFORE).apps
    call_command("migrate", verbosity=0)


def test_rows_of_an_older_database_belong_to_the_one_server(old: Any) -> None:
    switches, row = old.get_model("models_admin", "Switch"), old.get_model("models_admin", "Backend")
    row.objects.create(model="old", epoch=7, wanted="old")
    first = switches.objects.create(target="old", source="api", drain_seconds=1, state="succeeded")
    active = switches.objects.create(
        target="new", source="api", drain_seconds=1, state="loading", cause=first
    )
    old.get_model("models_admin", "Load").objects.create(switch=active, model="new")
    old.get_model("models_admin", "Lease").objects.create(holder="web", subject="reply 1")
    call_command("migrate", verbosity=0)
    server = Server.objects.get()
    assert (server.pk, server.model, server.epoch, server.wanted) == (SERVER, "old", 7, "old")
    assert list(Switch.objects.order_by("pk").values_list("pk", "server", "cause")) == [
        (first.pk, SERVER, None),
        (active.pk, SERVER, first.pk),
    ]
    assert Load.objects.get().switch_id == active.pk
    assert Lease.objects.get().server_id == SERVER


def test_a_history_without_a_row_gets_one(old: Any) -> None:
    old.get_model("models_admin", "Switch").objects.create(target="old", source="api", drain_seconds=1)
    call_command("migrate", verbosity=0)
    assert Switch.objects.get().server == Server.objects.get(pk=SERVER)


@pytest.mark.django_db
def test_who_was_permitted_to_see_the_row_still_is() -> None:
    Permission.objects.filter(codename="view_server").update(codename="view_backend")
    ada = User.objects.create_user("ada")
    ada.user_permissions.add(Permission.objects.get(codename="view_backend"))
    migration = importlib.import_module("models_admin.migrations.0015_server")
    migration.name_permissions("backend", "server")(apps, connection.schema_editor())
    assert ada.has_perm("models_admin.view_server")
