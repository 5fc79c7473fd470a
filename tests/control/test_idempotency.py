"""A request that is sent twice with the same Idempotency-Key is done once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from control_rows import MISTRAL, QWEN, MakeUser
from django.test import Client
from django.utils import timezone

from models_admin.api import idempotency
from models_admin.models import RepeatKey, State, Switch, TabbyModel

SWITCH, UNLOAD = "/api/admin/models/switch", "/api/admin/models/unload"
Catalog = dict[str, TabbyModel]


def send(client: Client, body: Any = None, key: str = "one", path: str = SWITCH) -> Any:
    return client.post(
        path,
        json.dumps(body or {"model_id": QWEN}) if path == SWITCH else "",
        content_type="application/json",
        headers={"Prefer": "respond-async", "Idempotency-Key": key},
    )


def end(state: State = State.SUCCEEDED) -> None:
    Switch.objects.update(state=state, finished_at=timezone.now(), result=QWEN)


def test_the_same_key_leads_to_the_same_switch_even_when_it_has_ended(
    admin_client: Client, catalog: Catalog
) -> None:
    first = send(admin_client)
    end()
    again = send(admin_client)
    assert again.status_code == 202
    assert again["Location"] == first["Location"]
    assert again.json()["state"] == "succeeded"
    assert Switch.objects.count() == 1
    assert send(admin_client, key="two").json()["id"] != first.json()["id"]


def test_a_failure_is_answered_again(transactional_db: None, admin_client: Client, catalog: Catalog) -> None:
    send(admin_client)
    end(State.FAILED)
    headers = {"Idempotency-Key": "one"}
    again = admin_client.post(SWITCH, {"model_id": QWEN}, content_type="application/json", headers=headers)
    assert again.status_code == 502
    assert again.json()["detail"].startswith("Failed to switch model. Is TabbyAPI available?")
    assert Switch.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"model_id": MISTRAL},
        {"model_id": QWEN, "drain_seconds": 3},
        {"model_id": QWEN, "options": {"vision": True}},
    ],
)
def test_another_request_with_the_key_is_refused(
    admin_client: Client, catalog: Catalog, other: dict[str, Any]
) -> None:
    send(admin_client)
    end()
    refused = send(admin_client, other)
    assert refused.status_code == 422
    assert "another request" in refused.json()["detail"]
    assert send(admin_client, path=UNLOAD).status_code == 422
    assert Switch.objects.count() == 1


def test_an_unload_counts_too(admin_client: Client, catalog: Catalog) -> None:
    first = send(admin_client, path=UNLOAD)
    end()
    assert send(admin_client, path=UNLOAD).json()["id"] == first.json()["id"]


def test_keys_are_a_users_own(admin_client: Client, catalog: Catalog, make_user: MakeUser) -> None:
    first = send(admin_client)
    end()
    other = Client()
    other.force_login(make_user("operator", "switch"))
    assert send(other).json()["id"] != first.json()["id"]


def test_a_refused_request_leaves_no_key(admin_client: Client, catalog: Catalog) -> None:
    assert send(admin_client, {"model_id": "nothing-of-that-name"}).status_code == 404
    assert send(admin_client).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 129, "a b", "ä"])
def test_a_key_has_a_shape(admin_client: Client, catalog: Catalog, key: str) -> None:
    assert send(admin_client, key=key).status_code == 422
    assert not Switch.objects.exists()


def test_a_key_counts_for_a_day_and_is_then_forgotten(admin_client: Client, catalog: Catalog) -> None:
    first = send(admin_client)
    end()
    RepeatKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    second = send(admin_client)
    assert second.json()["id"] != first.json()["id"]
    assert RepeatKey.objects.count() == 1
    assert idempotency.forget() == 0
    RepeatKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert idempotency.forget() == 1
