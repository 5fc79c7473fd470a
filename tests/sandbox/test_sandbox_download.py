"""POST /v1/download: nothing before it is done, a folder that is listed at once, and deleted when anything goes wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

SMALL = {"name": "team/small", "files": {"config.json": 10, "model.safetensors": 90}, "bytes_per_second": 1e5}
SLOW = {**SMALL, "name": "team/slow", "bytes_per_second": 50}


async def hub(sandbox, *repositories, **more):
    status, state = await sandbox.call(
        "POST", "/sandbox/state", {"hub": {"repositories": list(repositories), **more}}
    )
    assert status == 200, state


async def bring(sandbox, **body):
    return await sandbox.call("POST", "/v1/download", body)


async def listed(sandbox):
    return [each["id"] for each in (await sandbox.call("GET", "/v1/models"))[1]["data"]]


async def test_a_repository_comes_into_the_folder(sandbox, tmp_path):
    begins = {"config.json": "{}"}
    await hub(sandbox, {**SMALL, "begins": begins}, folder=str(tmp_path))
    status, body = await bring(sandbox, repo_id="team/small", include=["*"])
    assert (status, body) == (200, {"download_path": "models/small"})
    assert (tmp_path / "small" / "config.json").read_bytes() == b"{}" + b"\0" * 8
    assert (tmp_path / "small" / "model.safetensors").stat().st_size == 90
    assert "small" in await listed(sandbox)
    assert (await bring(sandbox, repo_id="team/small"))[1] == {
        "detail": "The path models/small already exists. Remove the folder and try again."
    }


async def test_it_is_listed_while_it_grows_and_gone_when_the_caller_leaves(sandbox, tmp_path):
    await hub(sandbox, SLOW, folder=str(tmp_path))
    asked = asyncio.create_task(bring(sandbox, repo_id="team/slow", folder_name="mine"))
    while not (tmp_path / "mine").exists():
        await asyncio.sleep(0.01)
    assert "mine" in await listed(sandbox)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    while (tmp_path / "mine").exists():
        await asyncio.sleep(0.01)
    assert "mine" not in await listed(sandbox)


@pytest.mark.parametrize(
    ("repository", "body", "words"),
    [
        ({}, {"repo_id": "team/none"}, "Repository Not Found"),
        ({}, {"revision": "none"}, "Revision Not Found"),
        ({}, {"include": ["*.gguf"]}, "Check your filters?"),
        ({"token": "hf_secret"}, {}, "401, message="),
        ({"token": "hf_secret"}, {"token": "hf_other"}, "401, message="),
        ({"forbidden": True}, {"token": "hf_secret"}, "403, message="),
        ({"breaks_at": 50}, {}, "Response payload is not completed"),
        ({}, {"room": 20}, "No space left on device"),
    ],
)
async def test_what_the_hub_refuses_is_a_400_in_its_words(sandbox, tmp_path, repository, body, words):
    await hub(sandbox, {**SMALL, **repository}, folder=str(tmp_path), room=body.pop("room", None))
    status, answer = await bring(sandbox, **{"repo_id": "team/small", **body})
    assert status == 400
    assert words in answer["detail"], json.dumps(answer)
    assert list(tmp_path.iterdir()) == []
    assert "small" not in await listed(sandbox)


async def test_the_right_token_opens_it(sandbox):
    await hub(sandbox, {**SMALL, "token": "hf_secret"})
    assert (await bring(sandbox, repo_id="team/small", token="hf_secret"))[0] == 200


async def test_only_an_administrator_may_and_the_fields_are_checked(sandbox, keyed):
    assert (await keyed.call("POST", "/v1/download", {"repo_id": "a/b"}))[0] == 401
    assert (await keyed.call("POST", "/v1/download", {"repo_id": "a/b"}, Authorization="Bearer user"))[
        0
    ] == 401
    assert (await bring(sandbox))[0] == 422
    assert (await bring(sandbox, repo_id="a/b", include="*"))[0] == 422
