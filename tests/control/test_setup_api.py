"""The HTTP API of what is set up, as one document, and of models that are retired."""

from __future__ import annotations

import json
from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from models_admin.models import Alias, TabbyModel
from models_admin.setup import exporting

pytestmark = pytest.mark.django_db
SETUP = "/api/admin/setup"
Catalog = dict[str, TabbyModel]


@pytest.fixture
def client(make_user: MakeUser) -> Client:
    user = make_user("mara")
    user.user_permissions.set(Permission.objects.filter(codename__in=["manage"]))
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(
        path, body if isinstance(body, str) else json.dumps(body), content_type="application/json"
    )


def test_what_is_exported_comes_back(catalog: Catalog, client: Client) -> None:
    TabbyModel.objects.filter(name=QWEN).update(notes="quick")
    answer = client.get(SETUP)
    assert answer.content.decode() == exporting.written()
    TabbyModel.objects.filter(name=QWEN).update(notes="")
    change = {"place": f'models["{QWEN}"].notes', "before": "", "after": "quick"}

    looked = post(client, f"{SETUP}?dry_run=true", answer.content.decode())
    assert (looked.status_code, looked.json()) == (200, {"dry_run": True, "changes": [change]})
    assert TabbyModel.objects.get(name=QWEN).notes == ""
    assert not LogEntry.objects.exists()

    made = post(client, SETUP, answer.content.decode())
    assert (made.status_code, made.json()) == (200, {"dry_run": False, "changes": [change]})
    assert TabbyModel.objects.get(name=QWEN).notes == "quick"
    assert "1 changes" in LogEntry.objects.get().change_message
    assert post(client, SETUP, answer.content.decode()).json()["changes"] == []


def test_what_is_wrong_is_said_with_its_place_and_changes_nothing(catalog: Catalog, client: Client) -> None:
    wrong = {"gantry_setup": 1, "models": {QWEN: {"notes": "new", "tags": 3}}}
    answer = post(client, SETUP, wrong)
    assert answer.status_code == 400
    assert "tags" in answer.json()["detail"]
    assert post(client, SETUP, "no JSON").status_code == 400
    barred = post(client, SETUP, {"gantry_setup": 1, "groups": {"mine": ["models_admin.switch"]}})
    assert (barred.status_code, "you may not change these" in barred.json()["detail"]) == (400, True)
    assert TabbyModel.objects.get(name=QWEN).notes == ""


def test_a_retirement_says_what_is_lost_and_can_be_undone(catalog: Catalog, client: Client) -> None:
    Alias.objects.create(name="coder", model=QWEN)
    looked = post(client, "/api/admin/models/retire?dry_run=true", {"model_id": QWEN}).json()
    assert (looked["retired"], looked["aliases"], looked["requests"]) == (False, ["coder"], 0)
    assert looked["files"]["command"].startswith("rm -r -- ")
    done = post(client, "/api/admin/models/retire", {"model_id": QWEN})
    assert (done.status_code, done.json()) == (200, {**looked, "retired": True})
    assert TabbyModel.objects.get(name=QWEN).retired_at is not None
    assert LogEntry.objects.get().change_message == "Retired."
    back = post(client, "/api/admin/models/restore", {"model_id": QWEN})
    assert (back.status_code, back.json()["retired"]) == (200, False)
    assert TabbyModel.objects.get(name=QWEN).retired_at is None


def test_what_is_loaded_or_unknown_is_not_retired(catalog: Catalog, client: Client) -> None:
    answer = post(client, "/api/admin/models/retire", {"model_id": LLAMA})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        f"“{LLAMA}” is loaded. Switch to another model first.",
    )
    assert post(client, "/api/admin/models/retire", {"model_id": "nothing"}).status_code == 404
    assert post(client, "/api/admin/models/restore", {"model_id": "nothing"}).status_code == 404
    for step in ("retire", "restore", "try"):
        assert post(client, f"/api/admin/models/{step}", {"model_id": "a\0b"}).status_code == 422, step
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("permission", ["switch", "unload"])
def test_only_those_who_may_manage_models_may_do_this(
    catalog: Catalog, make_user: MakeUser, permission: str
) -> None:
    user = make_user("ida")
    user.user_permissions.set(Permission.objects.filter(codename=permission))
    client = Client()
    client.force_login(user)
    assert client.get(SETUP).status_code == 403
    for path in (SETUP, "/api/admin/models/retire", "/api/admin/models/restore"):
        assert post(client, path, {"model_id": QWEN}).status_code == 403
    assert TabbyModel.objects.get(name=QWEN).retired_at is None
