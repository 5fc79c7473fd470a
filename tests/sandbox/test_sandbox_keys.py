"""Which key opens what, in which header."""

from __future__ import annotations

import pytest

MODELS, LOAD, UNLOAD = ("GET", "/v1/models"), ("POST", "/v1/model/load"), ("POST", "/v1/model/unload")
ALPHA = {"model_name": "alpha"}
BOSS, USER = {"Authorization": "Bearer boss"}, {"Authorization": "Bearer user"}


@pytest.mark.parametrize("headers", [BOSS, USER, {"x_api_key": "user"}, {"x_api_key": "boss"}])
async def test_either_key_reads(keyed, headers):
    assert (await keyed.call(*MODELS, **headers))[0] == 200


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Please provide an API key"),
        ({"x_admin_key": "boss"}, "Please provide an API key"),
        ({"Authorization": "Bearer wrong"}, "Invalid API key"),
        ({"Authorization": "boss"}, "Invalid API key"),
        ({"x_api_key": "wrong"}, "Invalid API key"),
    ],
)
async def test_reading_without_a_good_key_is_a_401(keyed, headers, detail):
    assert await keyed.call(*MODELS, **headers) == (401, {"detail": detail})


@pytest.mark.parametrize("headers", [BOSS, {"x_admin_key": "boss"}])
async def test_the_admin_key_loads(keyed, headers):
    assert (await keyed.call(*LOAD, ALPHA, **headers))[0] == 200


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"x_api_key": "boss"}, "Please provide an admin key"),
        (USER, "Invalid admin key"),
        ({"x_admin_key": "user"}, "Invalid admin key"),
    ],
)
async def test_nothing_else_loads_or_unloads(keyed, headers, detail):
    assert await keyed.call(*LOAD, ALPHA, **headers) == (401, {"detail": detail})
    assert await keyed.call(*UNLOAD, **headers) == (401, {"detail": detail})


async def test_a_good_api_key_beside_a_wrong_admin_key_crashes_the_list(keyed):
    headers = {"x_api_key": "user", "x_admin_key": "wrong"}
    assert await keyed.call(*MODELS, **headers) == (500, "Internal Server Error")


async def test_the_permission_tells_the_keys_apart(keyed):
    assert (await keyed.call("GET", "/v1/auth/permission", **BOSS))[1] == {"permission": "admin"}
    assert (await keyed.call("GET", "/v1/auth/permission", **USER))[1] == {"permission": "api"}


async def test_an_api_key_sees_only_the_loaded_model(keyed):
    assert (await keyed.call(*MODELS, **USER))[1]["data"] == []
    await keyed.call(*LOAD, ALPHA, **BOSS)
    assert [card["id"] for card in (await keyed.call(*MODELS, **USER))[1]["data"]] == ["alpha"]
    assert len((await keyed.call(*MODELS, **BOSS))[1]["data"]) == 9


async def test_without_keys_everybody_is_admin(sandbox):
    assert (await sandbox.call("GET", "/v1/auth/permission"))[1] == {"permission": "admin"}


async def test_health_asks_for_no_key(keyed):
    assert await keyed.call("GET", "/health") == (200, {"status": "healthy", "issues": []})


async def test_the_log_names_the_keys_headers_and_never_the_keys(keyed):
    await keyed.call(*MODELS, **BOSS, x_api_key="user")
    (record,) = await keyed.log("/v1/models")
    assert record["keys"] == ["bearer", "x-api-key"]
    assert record["permission"] == "api"
    assert "boss" not in str(record)
    assert "user'" not in str(record)
