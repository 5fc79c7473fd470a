"""POST /sandbox/fault: each kind does what it says, once."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

WORDS = "[[tokens=5]]"


async def test_a_fault_hits_the_next_request_and_no_other(sandbox):
    await sandbox.fault("models", "status", status=418, body="teapot")
    assert await sandbox.call("GET", "/health") == (200, {"status": "healthy", "issues": []})
    assert await sandbox.call("GET", "/v1/models") == (418, "teapot")
    assert (await sandbox.call("GET", "/v1/models"))[0] == 200


async def test_a_fault_can_hit_many_times_and_any_endpoint(sandbox):
    await sandbox.fault("any", "status", times=2)
    assert (await sandbox.call("GET", "/v1/models"))[0] == 500
    assert (await sandbox.call("GET", "/health"))[0] == 500
    assert (await sandbox.call("GET", "/health"))[0] == 200


async def test_a_fault_for_one_model_lets_others_load(sandbox):
    await sandbox.fault("load", "oom", at=2, model="beta")
    assert (await sandbox.load("alpha"))[-1]["status"] == "finished"
    *steps, error = await sandbox.load("beta")
    assert len(steps) == 2
    assert "CUDA out of memory" in error["error"]["message"]


async def test_html_and_garbage_instead_of_json(sandbox):
    await sandbox.fault("model", "html")
    status, text = await sandbox.call("GET", "/v1/model")
    assert status == 502
    assert text.startswith("<!DOCTYPE html>")
    await sandbox.fault("models", "garbage", body="{oops")
    with pytest.raises(ValueError, match="Expecting property name"):
        await sandbox.call("GET", "/v1/models")


@pytest.mark.parametrize("kind", ["drop", "cut", "abrupt"])
async def test_connections_that_break_before_the_answer(sandbox, kind):
    await sandbox.fault("unload", kind)  # a POST: aiohttp sends a GET again by itself
    with pytest.raises(aiohttp.ClientError):
        await sandbox.call("POST", "/v1/model/unload")


@pytest.mark.parametrize("kind", ["error", "corrupted", "oom"])
async def test_loads_fail_where_they_are_told_to(sandbox, kind):
    await sandbox.fault("load", kind, at=3, message="No luck.")
    *steps, error = await sandbox.load("alpha")
    assert len(steps) == 3
    assert error["error"]["message"] == "No luck."


async def test_an_empty_load_stream_is_a_load_all_the_same(sandbox):
    await sandbox.fault("load", "empty")
    assert await sandbox.load("alpha") == []
    await sandbox.load("alpha")
    assert await sandbox.loaded() == "alpha"


@pytest.mark.parametrize("path", ["load", "chat"])
async def test_a_cut_stream_ends_early_and_cleanly(sandbox, path):
    await sandbox.load("beta")
    await sandbox.fault(path, "cut", at=2)
    events = await (sandbox.load("alpha") if path == "load" else sandbox.chat(WORDS))
    assert len(events) == 2


@pytest.mark.parametrize("kind", ["cut_mid_line", "abrupt"])
@pytest.mark.parametrize("path", ["load", "chat"])
async def test_a_broken_stream_is_an_error_of_the_connection(sandbox, path, kind):
    await sandbox.load("beta")
    await sandbox.fault(path, kind, at=1)
    with pytest.raises(aiohttp.ClientError):
        await (sandbox.load("alpha") if path == "load" else sandbox.chat(WORDS))


async def test_half_a_line_arrives_before_the_break(sandbox):
    await sandbox.load("beta")
    await sandbox.fault("chat", "cut_mid_line", at=1)
    async with sandbox.chatting(WORDS) as chat:
        with pytest.raises(aiohttp.ClientError):
            await chat.rest()
    whole, _, half = chat.raw.partition(b"\r\n\r\n")
    assert whole.startswith(b"data: ")
    assert half.startswith(b"data: ")
    assert b"\r\n" not in half


async def test_an_error_in_a_chat_ends_it_without_done(sandbox, said):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "error_event", at=3)
    events = await sandbox.chat(WORDS)
    assert said(events) == " w1 w2 w3"
    assert events[-1]["error"]["message"].startswith("Chat completion aborted.")


async def test_a_chat_without_done(sandbox):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "no_done")
    assert (await sandbox.chat(WORDS))[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_chat_without_a_word(sandbox, said):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "empty")
    events = await sandbox.chat(WORDS)
    assert said(events) == ""
    assert events[-1] == "[DONE]"


async def test_garbage_between_tokens(sandbox, said):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "garbage", at=2)
    events = await sandbox.chat(WORDS)
    assert isinstance(events[2], str)
    assert said(events) == " w1 w2 w3 w4 w5"


async def test_a_hanging_chat_pings_until_it_is_released(sandbox, said):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "hang", at=2)
    async with sandbox.chatting(WORDS) as chat:
        first = [await chat.data(), await chat.data()]
        await chat.pings(3)
        await sandbox.release()
        assert said(first + await chat.rest()) == " w1 w2 w3 w4 w5"


async def test_a_hanging_list_answers_when_it_is_released(sandbox):
    await sandbox.fault("models", "hang")
    answer = asyncio.create_task(sandbox.call("GET", "/v1/models"))
    async with asyncio.timeout(120):
        while not await sandbox.log("/v1/models"):
            pass
    assert not answer.done()
    await sandbox.release()
    assert (await answer)[0] == 200


@pytest.mark.parametrize(
    "fault",
    [7, {"on": "nowhere", "kind": "oom"}, {"on": "load", "kind": "odd"},
     {"on": "load", "kind": "oom", "when": 1},
     {"on": "load", "kind": "oom", "at": "x"}],
)  # fmt: skip
async def test_a_fault_that_makes_no_sense_is_refused(sandbox, fault):
    status, body = await sandbox.call("POST", "/sandbox/fault", fault)
    assert status == 400
    assert body["detail"]
    assert (await sandbox.call("GET", "/sandbox/fault"))[1] == {"faults": []}


async def test_a_flood_of_junk_comes_after_some_tokens_and_then_the_rest(sandbox):
    await sandbox.load("alpha")
    await sandbox.fault("chat", "flood", at=2, seconds=0.05, body=":\n")
    body = {"messages": [{"role": "user", "content": "[[tokens=4]]"}], "stream": True}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.url}/v1/chat/completions", json=body) as answer,
    ):
        before, _, after = (await answer.read()).partition(b":\n" * 32768)
    assert b'" w2"' in before
    assert b'" w3"' not in before
    assert b'" w4"' in after
