"""POST /v1/model/unload, and what it does to streams."""

from __future__ import annotations

import asyncio


async def test_unloading_answers_null(sandbox):
    await sandbox.load("alpha")
    assert await sandbox.call("POST", "/v1/model/unload") == (200, None)
    assert await sandbox.loaded() is None


async def test_unloading_nothing_is_a_503(sandbox):
    assert await sandbox.call("POST", "/v1/model/unload") == (
        503,
        {"detail": "No models are currently loaded."},
    )


async def test_unloading_is_refused_from_the_first_moment_of_a_load(sandbox):
    slow = {"name": "slow", "modules": 1, "seconds_per_module": 0.001, "unload_seconds": 0.2}
    await sandbox.state(add_models=[slow], loaded=None)
    await sandbox.load("slow")
    async with sandbox.loading("beta") as load:
        await load.pings(1)
        assert (await sandbox.call("POST", "/v1/model/unload"))[0] == 503
        assert (await load.rest())[-1]["status"] == "finished"
    assert await sandbox.loaded() == "beta"


async def test_streams_hang_after_an_unload_with_only_pings(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        await sandbox.call("POST", "/v1/model/unload")
        await chat.pings(4)
    record = await sandbox.eventually_logged("/v1/chat/completions", "aborted")
    assert 0 < record["tokens"] < 1000


async def test_an_unload_stops_a_flood(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=100000000 rate=0]]") as chat:
        reading = asyncio.create_task(chat.rest())
        await sandbox.call("POST", "/v1/model/unload")
        await sandbox.eventually_logged("/v1/chat/completions", "aborted")
        reading.cancel()


async def test_a_hanging_stream_does_not_hold_up_the_next_load(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        await sandbox.call("POST", "/v1/model/unload")
        assert (await sandbox.load("beta"))[-1]["status"] == "finished"
