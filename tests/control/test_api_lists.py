"""What the HTTP API shows beside the documented lines: models for everybody, the history by pages, its own description."""

from __future__ import annotations

import json
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser, running
from django.test import Client
from django.utils import timezone

from models_admin.models import Server, State, Switch, TabbyModel

Catalog = dict[str, TabbyModel]


@pytest.fixture
def anybody(make_user: MakeUser) -> Client:
    client = Client()
    client.force_login(make_user("anybody", is_staff=False))
    return client


def test_anybody_is_shown_the_models_that_are_visible_in_chat(
    anybody: Client, admin_client: Client, catalog: Catalog
) -> None:
    TabbyModel.objects.filter(name=QWEN).update(visible=False)
    TabbyModel.objects.filter(name=MISTRAL).update(
        display_name="Mistral", tags=["creative"], notes="For stories."
    )
    shown = {each["id"]: each for each in anybody.get("/api/models").json()["models"]}
    assert set(shown) == {LLAMA, MISTRAL}
    assert shown[LLAMA]["active"]
    assert shown[MISTRAL] == {
        "id": MISTRAL,
        "name": "Mistral",
        "active": False,
        "tags": ["creative"],
        "notes": "For stories.",
        "parameters_b": 7.0,
        "quantization": "4.0bpw",
        "visible": True,
    }
    assert len(admin_client.get("/api/models").json()["models"]) == 3


def test_anybody_is_told_what_is_loaded(anybody: Client, catalog: Catalog) -> None:
    told = anybody.get("/api/models/active").json()
    assert (told["state"], told["model"]["id"], told["context"]) == ("ready", LLAMA, 8192)
    TabbyModel.objects.filter(name=LLAMA).update(visible=False)
    assert anybody.get("/api/models/active").json()["model"] is None
    Server.objects.update(model="", loaded_at=None)
    assert anybody.get("/api/models/active").json() == {
        "state": "unloaded",
        "model": None,
        "loaded_at": None,
        "context": None,
        "busy_with": None,
    }


def history(client: Client, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/api/admin/switches{query}")
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_the_history_comes_page_by_page(admin_client: Client, catalog: Catalog) -> None:
    made = [
        running(
            State.FAILED if each % 2 else State.SUCCEEDED,
            target=QWEN if each < 5 else "",
            finished_at=timezone.now(),
            result=LLAMA,
        ).pk
        for each in range(7)
    ]
    first = history(admin_client, "?limit=3")
    assert [each["id"] for each in first["switches"]] == made[:3:-1]
    second = history(admin_client, f"?limit=4&before={first['next']}")
    assert [each["id"] for each in second["switches"]] == made[3::-1]
    assert second["next"] is None
    assert len(history(admin_client, "?state=failed")["switches"]) == 3
    assert len(history(admin_client, "?state=failed&state=succeeded")["switches"]) == 7
    assert len(history(admin_client, "?target=")["switches"]) == 2
    assert history(admin_client, "?target=%F0%9F%90%8E")["switches"] == []
    for wrong in ("?limit=0", "?limit=201", "?state=x", "?before=0", f"?before={10**20}", "?target=%00"):
        assert admin_client.get(f"/api/admin/switches{wrong}").status_code == 422, wrong


def test_without_the_permission_there_is_no_history(anybody: Client, catalog: Catalog) -> None:
    running(State.SUCCEEDED)
    for path in ("switches", "switches/1", "switches/1/events", "models"):
        assert anybody.get(f"/api/admin/{path}").status_code == 403
    assert anybody.post("/api/admin/models/refresh").status_code == 403


def test_a_refresh_that_cannot_be_made_says_why(admin_client: Client, catalog: Catalog) -> None:
    answer = admin_client.post("/api/admin/models/refresh")
    assert answer.status_code == 502
    assert "TABBY_HOST" in answer.json()["detail"]
    assert TabbyModel.objects.filter(vanished_at=None).count() == 3


def test_the_events_of_a_switch_that_has_ended(admin_client: Client, catalog: Catalog) -> None:
    switch = running(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    address = f"/api/admin/switches/{switch.pk}/events"
    assert admin_client.get(address, headers={"Last-Event-ID": "ended"}).status_code == 204
    assert admin_client.get("/api/admin/switches/999/events").status_code == 404


def test_the_description_names_every_address(client: Client, catalog: Catalog) -> None:
    document = client.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    paths = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert paths >= {
        ("GET", "/api/models"),
        ("GET", "/api/models/active"),
        ("GET", "/api/admin/models"),
        ("POST", "/api/admin/models/refresh"),
        ("POST", "/api/admin/models/switch"),
        ("POST", "/api/admin/models/unload"),
        ("GET", "/api/admin/switches"),
        ("GET", "/api/admin/switches/{switch_id}"),
        ("DELETE", "/api/admin/switches/{switch_id}"),
        ("GET", "/api/admin/switches/{switch_id}/events"),
        ("GET", "/api/conversations"),
    }
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"]
        assert each["security"]
        assert {"401", "403"} <= set(each["responses"])
    ways = {way for each in operations for ways in each["security"] for way in ways}
    assert ways == {"SessionCookie", "BearerToken"} == set(document["components"]["securitySchemes"])


def test_the_page_about_it_shows_all_of_it_and_needs_nothing_from_elsewhere(
    client: Client, catalog: Catalog
) -> None:
    page = client.get("/api/docs")
    text = page.content.decode()
    document = client.get("/api/openapi.json").json()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in text
    assert "<style" not in text
    assert " style=" not in text
    assert "://" not in text.replace("http://testserver", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert json.dumps({"model_id": "Llama-3.1-8B-Instruct"}) in text.replace("&quot;", '"')
    assert Switch.objects.count() == 0
