"""POST /v1/model/load: what streams, what is refused, what is loaded afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


def progress(kind: str, modules: int) -> list[dict[str, Any]]:
    steps = [_step(kind, module, modules, "processing") for module in range(1, modules + 1)]
    return [*steps, _step(kind, modules, modules, "finished")]


def _step(kind: str, module: int, modules: int, status: str) -> dict[str, Any]:
    return {"model_type": kind, "module": module, "modules": modules, "status": status}


async def test_a_load_tells_every_module_and_the_last_one_twice(sandbox):
    assert await sandbox.load("alpha") == progress("model", 4)
    assert await sandbox.loaded() == "alpha"


async def test_every_phase_ends_with_its_own_finished(sandbox):
    expected = [*progress("vision", 2), *progress("draft", 1), *progress("model", 3)]
    assert await sandbox.load("eyes") == expected


async def test_a_draft_model_asked_for_adds_its_phase(sandbox):
    events = await sandbox.load("alpha", draft_model={"draft_model_name": "parrot"})
    assert [event["model_type"] for event in events if event["status"] == "finished"] == ["draft", "model"]


async def test_lines_end_in_crlf_and_there_is_no_done(sandbox):
    async with sandbox.loading("alpha") as stream:
        await stream.rest()
    assert stream.raw.endswith(b'"status":"finished"}\r\n\r\n')
    assert b"[DONE]" not in stream.raw
    assert stream.raw.count(b"\n") == stream.raw.count(b"\r\n")


async def test_running_out_of_memory_is_an_error_in_a_200_stream(sandbox):
    *steps, error = await sandbox.load("big")
    assert steps == progress("model", 9)[:5]
    assert error["error"]["message"].startswith("CUDA out of memory. ")
    assert error["error"]["trace"] is None


@pytest.mark.parametrize("name", ["big", "broken"])
async def test_a_failed_load_leaves_nothing_loaded(sandbox, name):
    await sandbox.load("alpha")
    assert "error" in (await sandbox.load(name))[-1]
    assert await sandbox.loaded() is None


async def test_a_load_can_fail_after_finished(sandbox):
    await sandbox.fault("load", "finished_then_error", message="Tokenizer is None")
    *steps, error = await sandbox.load("alpha")
    assert steps == progress("model", 4)
    assert error["error"]["message"] == "Tokenizer is None"
    assert await sandbox.loaded() is None


async def test_loading_what_is_loaded_is_one_finished(sandbox):
    await sandbox.load("alpha")
    assert await sandbox.load("alpha") == [_step("model", 1, 1, "finished")]


async def test_nothing_is_loaded_during_a_load(sandbox):
    await sandbox.load("alpha")
    async with sandbox.loading("stuck") as stream:
        assert [(await stream.data())["module"] for _ in range(2)] == [1, 2]
        await stream.pings(2)
        assert await sandbox.call("GET", "/v1/model") == (503, {"detail": "No models are currently loaded."})
        assert (await sandbox.call("POST", "/v1/model/unload"))[0] == 503
        await sandbox.release()
        await stream.rest()
    assert await sandbox.loaded() == "stuck"


async def test_a_load_survives_its_client_and_asking_again_joins_it(sandbox):
    async with sandbox.loading("stuck") as stream:
        await stream.data()
    await sandbox.eventually_logged("/v1/model/load", "disconnected")
    async with sandbox.loading("stuck") as again:
        await again.pings(1)
        await sandbox.release()
        assert await again.rest() == [_step("model", 1, 1, "finished")]
    first, _ = await sandbox.log("/v1/model/load")
    assert [event["data"] for event in first["events"]] == progress("model", 5)


async def test_a_load_that_waits_behind_another_takes_effect_although_nobody_listens(sandbox):
    async with sandbox.loading("stuck") as first, sandbox.loading("alpha") as second:
        assert [(await first.data())["module"] for _ in range(2)] == [1, 2]
        await second.pings(2)
        await first.pings(1)
    async with asyncio.timeout(120):
        while {each["outcome"] for each in await sandbox.log("/v1/model/load")} != {"disconnected"}:
            pass
        await sandbox.release()
        while await sandbox.loaded() != "alpha":
            pass
    first, second = await sandbox.log("/v1/model/load")
    assert [event["data"] for event in first["events"]] == progress("model", 5)
    assert [event["data"] for event in second["events"]] == progress("model", 4)


async def test_a_load_behind_one_of_the_same_model_is_one_finished_whatever_its_options(sandbox):
    async with sandbox.loading("stuck", cache_mode="Q4") as first:
        await first.data()
        async with sandbox.loading("stuck", cache_mode="Q8") as second:
            await second.pings(2)
            await sandbox.release()
            assert await second.rest() == [_step("model", 1, 1, "finished")]
    _, card = await sandbox.call("GET", "/v1/model")
    assert card["parameters"]["cache_mode"] == "Q4"


async def test_a_load_behind_one_that_fails_is_tried_itself(sandbox):
    await sandbox.fault("load", "hang", at=2)
    await sandbox.fault("load", "slow", seconds=0.001)
    async with sandbox.loading("big") as first, sandbox.loading("big") as second:
        await first.data()
        await second.pings(1)
        await sandbox.release()
        *_, failed = await first.rest()
        *steps, error = await second.rest()
    assert failed["error"]["message"] == error["error"]["message"]
    assert steps == progress("model", 9)[:5]


async def test_loads_run_one_after_the_other(sandbox):
    await sandbox.state(seconds_per_module=0.005)
    assert await asyncio.gather(sandbox.load("alpha"), sandbox.load("beta")) == [
        progress("model", 4),
        progress("model", 3),
    ]
    first, second = (
        [event["at"] for event in record["events"]] for record in await sandbox.log("/v1/model/load")
    )
    assert max(first) <= min(second) or max(second) <= min(first)


async def test_a_load_waits_for_generations_with_nothing_but_pings(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        async with sandbox.loading("beta") as load:
            await load.pings(2)
            assert await sandbox.loaded() == "alpha"
            chat.response.close()
            assert await load.rest() == progress("model", 3)


async def test_chats_fail_at_once_while_a_load_waits(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        async with sandbox.loading("beta") as load:
            await load.pings(1)
            (event,) = await sandbox.chat("hello")
            assert event["error"]["message"].startswith("Chat completion aborted.")
            assert (await sandbox.whole("hello"))[0] == 503
            assert await sandbox.call("POST", "/v1/model/unload") == (500, "Internal Server Error")


async def test_skip_queue_pulls_the_model_away_from_generations(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        assert await sandbox.load("beta", skip_queue=True) == progress("model", 3)
        await chat.pings(3)


async def test_options_show_in_the_card_and_the_folders_own_win(sandbox):
    await sandbox.load("beta", max_seq_len=2048, cache_mode="Q8")
    _, card = await sandbox.call("GET", "/v1/model")
    assert card["parameters"]["max_seq_len"] == 2048
    assert card["parameters"]["cache_mode"] == "Q6"


async def test_options_are_dropped_cut_and_fallen_back_from_without_a_word(sandbox):
    await sandbox.load(
        "alpha", max_seq_len=8192, cache_size=3072, chunk_size=300, max_batch_size=4, rope_scale=2.0, rope_alpha=3.0,
        prompt_template="nowhere", vision=True,
    )  # fmt: skip
    _, card = await sandbox.call("GET", "/v1/model")
    shown = card["parameters"]
    assert (shown["max_seq_len"], shown["cache_size"], shown["chunk_size"]) == (3072, 3072, 512)
    assert (shown["max_batch_size"], shown["rope_scale"], shown["rope_alpha"]) == (128, 1.0, 1.0)
    assert (shown["prompt_template"], shown["use_vision"]) == ("from_tokenizer_config", False)


async def test_vision_is_left_out_where_it_is_not_wanted(sandbox):
    events = await sandbox.load("eyes", vision=False)
    assert "vision" not in [event["model_type"] for event in events]
    _, card = await sandbox.call("GET", "/v1/model")
    assert card["parameters"]["use_vision"] is False


async def test_a_draft_model_is_looked_for_when_the_old_model_has_gone(sandbox):
    await sandbox.load("beta")
    *_, error = await sandbox.load("alpha", draft_model={"draft_model_name": "nowhere"})
    assert "nowhere" in error["error"]["message"]
    assert await sandbox.loaded() is None


async def test_a_link_loads_the_model_that_it_leads_to(sandbox):
    await sandbox.state(add_models=[{"name": "short", "link": "alpha"}])
    assert (await sandbox.load("short"))[-1]["status"] == "finished"
    assert await sandbox.loaded() == "alpha"


async def test_another_hand_can_load_with_other_options(sandbox):
    await sandbox.state(loaded="alpha", options={"max_seq_len": 3072})
    _, card = await sandbox.call("GET", "/v1/model")
    assert card["parameters"]["max_seq_len"] == 3072


async def test_a_name_that_is_no_directory_is_refused_and_the_model_stays(sandbox):
    await sandbox.load("alpha")
    status, body = await sandbox.call("POST", "/v1/model/load", {"model_name": "nowhere"})
    assert status == 400
    assert body["detail"].startswith("Could not find the model path for load.")
    assert await sandbox.loaded() == "alpha"


async def test_names_are_not_contained(sandbox):
    await sandbox.fault("load", "slow", seconds=0.001)
    assert (await sandbox.load("../secret"))[-1]["status"] == "finished"
    assert await sandbox.loaded() == "secret"


@pytest.mark.parametrize(
    "body", [{}, {"model_name": 7}, {"model_name": "alpha", "max_seq_len": "many"}, [], b"not json"]
)
async def test_a_malformed_body_is_a_422_with_a_list(sandbox, body):
    status, answer = await sandbox.call("POST", "/v1/model/load", body)
    assert status == 422
    assert answer["detail"][0]["loc"][0] == "body"
    assert await sandbox.loaded() is None
