"""The HTTP API: the documented lines, and a clear sentence for everything that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser, Worked, running
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from models_admin.models import Server, Source, State, Switch, TabbyModel

SWITCH, UNLOAD, LIST = "/api/admin/models/switch", "/api/admin/models/unload", "/api/admin/models"
Catalog = dict[str, TabbyModel]


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body) if body is not None else ""
    return client.post(path, data, content_type="application/json", headers=headers)


def detail(response: Any) -> str:
    """The error's sentence; an error has nothing else."""
    assert response["Content-Type"].startswith("application/json")
    body = response.json()
    assert list(body) == ["detail"]
    assert isinstance(body["detail"], str)
    return body["detail"]


def test_it_lists_the_models_that_are_there(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=MISTRAL).update(vanished_at=timezone.now())
    TabbyModel.objects.filter(name=QWEN).update(display_name="Coder")
    assert admin_client.get(LIST).json() == {
        "models": [
            {"id": LLAMA, "name": LLAMA, "active": True},
            {"id": QWEN, "name": "Coder", "active": False},
        ]
    }


def test_it_answers_when_the_switch_is_done(
    admin_client: Client, catalog: Catalog, worker: Callable[..., Worked]
) -> None:
    worker()
    response = post(admin_client, SWITCH, {"model_id": QWEN})
    assert response.status_code == 200
    assert response.json() == {"message": f"Model switched to {QWEN}", "model_id": QWEN}
    switch = Switch.objects.get()
    assert (switch.source, switch.requested_by) == (Source.API, User.objects.get(username="admin"))


def test_it_answers_when_the_model_is_unloaded(
    admin_client: Client, catalog: Catalog, worker: Callable[..., Worked]
) -> None:
    worker(State.DRAINING, State.UNLOADING, State.SUCCEEDED)
    response = post(admin_client, UNLOAD)
    assert response.status_code == 200
    assert response.content == b'{"message":"Model unloaded successfully"}'


def test_curl_needs_only_the_cookie(
    catalog: Catalog, make_user: MakeUser, worker: Callable[..., Worked]
) -> None:
    browser = Client()
    browser.force_login(make_user("operator", "switch"))
    curl = Client(enforce_csrf_checks=True)
    worker()
    cookie = f"session_id={browser.cookies['session_id'].value}"
    response = curl.post(
        SWITCH, json.dumps({"model_id": QWEN}), content_type="application/json", headers={"Cookie": cookie}
    )
    assert response.status_code == 200


def test_a_failed_switch_is_a_bad_gateway_with_every_word(
    admin_client: Client, catalog: Catalog, worker: Callable[..., Worked]
) -> None:
    worker(
        State.DRAINING,
        State.UNLOADING,
        State.LOADING,
        State.ROLLING_BACK,
        State.FAILED,
        error="CUDA out of memory",
        advice="Load a smaller model.",
        result=LLAMA,
    )
    response = post(admin_client, SWITCH, {"model_id": QWEN})
    assert response.status_code == 502
    assert detail(response) == (
        "Failed to switch model. Is TabbyAPI available? CUDA out of memory. Load a smaller model. "
        f"{LLAMA} is loaded now."
    )


def test_a_failed_unload_is_a_bad_gateway(
    admin_client: Client, catalog: Catalog, worker: Callable[..., Worked]
) -> None:
    worker(State.DRAINING, State.FAILED, error="Nobody answers.", result="")
    response = post(admin_client, UNLOAD)
    assert response.status_code == 502
    assert detail(response) == (
        "Failed to unload model. Is TabbyAPI available? Nobody answers. No model is loaded now."
    )


def test_a_cancelled_switch_is_a_conflict(
    admin_client: Client, catalog: Catalog, worker: Callable[..., Worked]
) -> None:
    worker(State.DRAINING, State.CANCELLED, error="Cancelled by somebody.", result=LLAMA)
    response = post(admin_client, SWITCH, {"model_id": QWEN})
    assert response.status_code == 409
    assert detail(response) == f"Cancelled by somebody. {LLAMA} is loaded now."


@pytest.mark.parametrize("prefer", ["respond-async", "wait=10, respond-async", "Respond-Async"])
def test_it_answers_at_once_where_that_is_preferred(
    admin_client: Client, catalog: Catalog, prefer: str
) -> None:
    response = post(admin_client, SWITCH, {"model_id": QWEN}, Prefer=prefer)
    assert response.status_code == 202
    switch = Switch.objects.get()
    assert response["Location"] == f"/api/admin/switches/{switch.pk}"
    assert (response.json()["id"], response.json()["state"]) == (switch.pk, "queued")
    followed = admin_client.get(response["Location"]).json()
    assert (followed["id"], followed["target"], followed["by"]) == (switch.pk, QWEN, "admin")


def test_the_same_target_joins_the_running_switch(admin_client: Client, catalog: Catalog) -> None:
    first = post(admin_client, SWITCH, {"model_id": QWEN}, Prefer="respond-async")
    second = post(admin_client, SWITCH, {"model_id": QWEN}, Prefer="respond-async")
    assert first["Location"] == second["Location"]


def test_another_target_is_a_conflict_that_names_the_running_switch(
    admin_client: Client, catalog: Catalog
) -> None:
    running()
    response = post(admin_client, SWITCH, {"model_id": MISTRAL})
    assert response.status_code == 409
    assert QWEN in detail(response)


def test_a_switch_can_be_cancelled(admin_client: Client, catalog: Catalog) -> None:
    switch = running(State.DRAINING)
    response = admin_client.delete(f"/api/admin/switches/{switch.pk}")
    assert response.status_code == 200
    assert response.json()["state"] == "cancelled"
    assert admin_client.delete(f"/api/admin/switches/{switch.pk}").status_code == 409


def test_an_unknown_model_names_near_ones(admin_client: Client, catalog: Catalog) -> None:
    response = post(admin_client, SWITCH, {"model_id": "llama-3.1-8b-instrukt"})
    assert response.status_code == 404
    assert LLAMA in detail(response)


def test_a_model_that_is_gone_is_unknown(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now())
    assert post(admin_client, SWITCH, {"model_id": QWEN}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model_id": "../secrets"}, 400),
        ({"model_id": "a\x00b"}, 400),
        ({"model_id": "a\nb"}, 400),
        ({"model_id": ""}, 400),
        ({"model_id": "x" * 100_000}, 400),
        ('{"model_id": "\\ud800"}', 400),
        ({"model_id": 7}, 422),
        ({"model_id": None}, 422),
        ({"model_id": [QWEN]}, 422),
        ({}, 422),
        ({"model_id": QWEN, "forced": True}, 422),
        ({"model_id": QWEN, "drain_seconds": float("nan")}, 422),
        ({"model_id": QWEN, "options": {"rope_scale": float("inf")}}, 400),
        ({"model_id": QWEN, "options": {"\ud800": 1}}, 400),
        ({"model_id": QWEN, "options": {"draft_model": {"draft_model_name": "x", "\ud800": 1}}}, 400),
        ({"model_id": QWEN, "options": {"draft_model": {"draft_model_name": "x\x00"}}}, 400),
        ([], 422),
        ("3", 422),
        ("", 422),
        ("model_id=x", 400),
        ("[" * 100_000, 400),
        (b"\xff\xfe", 400),
    ],
)
def test_a_bad_body_gets_a_sentence_and_changes_nothing(
    admin_client: Client, catalog: Catalog, body: Any, status: int
) -> None:
    response = post(admin_client, SWITCH, body)
    assert response.status_code == status
    assert detail(response)
    assert not Switch.objects.exists()


def test_a_body_that_is_too_big_is_refused(admin_client: Client, catalog: Catalog) -> None:
    response = post(admin_client, SWITCH, {"model_id": "x" * 3_000_000})
    assert response.status_code == 413
    assert detail(response)


@pytest.mark.parametrize(("method", "path"), [("get", LIST), ("post", SWITCH), ("post", UNLOAD)])
def test_without_a_session_it_is_401(client: Client, catalog: Catalog, method: str, path: str) -> None:
    body = {"content_type": "application/json", "data": '{"model_id": "x"}'} if method == "post" else {}
    response = getattr(client, method)(path, **body)
    assert response.status_code == 401
    assert "session_id" in detail(response)


def test_without_the_permission_it_is_403(catalog: Catalog, make_user: MakeUser) -> None:
    switch = running(State.DRAINING)
    client = Client()
    client.force_login(make_user("nobody", is_staff=False))
    for response in (
        client.get(LIST),
        post(client, SWITCH, {"model_id": QWEN}),
        post(client, UNLOAD),
        client.get(f"/api/admin/switches/{switch.pk}"),
        client.delete(f"/api/admin/switches/{switch.pk}"),
    ):
        assert response.status_code == 403
        assert "permission" in detail(response)
    switch.refresh_from_db()
    assert switch.state == State.DRAINING


def test_each_permission_opens_its_own_door(catalog: Catalog, make_user: MakeUser, viewer: Client) -> None:
    assert viewer.get(LIST).status_code == 200
    assert post(viewer, SWITCH, {"model_id": QWEN}).status_code == 403
    unloader = Client()
    unloader.force_login(make_user("unloader", "unload"))
    assert post(unloader, SWITCH, {"model_id": QWEN}).status_code == 403
    assert post(unloader, UNLOAD, Prefer="respond-async").status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "https://testserver"},
        {"Origin": "ftp://testserver"},
        {"Origin": "http://testserver:8080"},
        {"Origin": "testserver"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_browser_on_another_site_is_refused(
    admin_client: Client, catalog: Catalog, headers: dict[str, str]
) -> None:
    response = post(admin_client, SWITCH, {"model_id": QWEN}, **headers)
    assert response.status_code == 403
    assert "another site" in detail(response)
    assert not Switch.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://testserver"},
        {"Origin": "http://testserver:80"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_this_site_is_not(admin_client: Client, catalog: Catalog, headers: dict[str, str]) -> None:
    response = post(admin_client, SWITCH, {"model_id": QWEN}, Prefer="respond-async", **headers)
    assert response.status_code == 202


def test_a_wrong_method_is_refused_in_json(admin_client: Client, catalog: Catalog) -> None:
    response = admin_client.get(SWITCH)
    assert response.status_code == 405
    assert "use POST" in detail(response)
    assert response["Allow"] == "OPTIONS, POST"
    assert admin_client.put(LIST).status_code == 405


def test_head_and_options(admin_client: Client, catalog: Catalog) -> None:
    full = admin_client.get(LIST)
    head = admin_client.head(LIST)
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == str(len(full.content))
    options = Client().options(LIST)
    assert (options.status_code, options["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert admin_client.head(SWITCH).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nothing",
        "/api/admin/switches/x",
        "/api/admin/switches/999",
        f"/api/admin/switches/{10**30}",
    ],
)
def test_what_is_not_there_is_a_json_404(admin_client: Client, catalog: Catalog, path: str) -> None:
    response = admin_client.get(path)
    assert response.status_code == 404
    assert detail(response)


def test_a_dead_tabbyapi_leaves_the_list_as_it_was(admin_client: Client, catalog: Catalog) -> None:
    Server.objects.update(catalog_at=None)
    response = admin_client.get(LIST)
    assert response.status_code == 200
    assert len(response.json()["models"]) == 3
    assert Server.objects.get().unreachable_since is not None
