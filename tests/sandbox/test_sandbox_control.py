"""/sandbox/state, log and reset; the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]


async def test_another_hand_changes_the_model(sandbox):
    await sandbox.load("alpha")
    assert (await sandbox.state(loaded="beta"))["loaded"] == "beta"
    assert await sandbox.loaded() == "beta"
    await sandbox.state(loaded=None)
    assert await sandbox.loaded() is None


async def test_another_hand_ends_a_load_in_progress(sandbox):
    async with sandbox.loading("stuck") as load:
        await load.data()
        await sandbox.state(loaded="alpha")
        await load.rest()
    assert await sandbox.loaded() == "alpha"
    assert (await sandbox.load("beta"))[-1]["status"] == "finished"


async def test_a_restart_breaks_connections_and_loses_the_model(sandbox):
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        assert (await sandbox.state(restart=True))["loaded"] is None
        with pytest.raises(aiohttp.ClientError):
            await chat.rest()


async def test_models_come_and_go(sandbox):
    await sandbox.state(add_models=["gamma", {"name": "delta", "modules": 2}], remove_models=["alpha"])
    assert (await sandbox.load("delta"))[-1]["modules"] == 2
    names = [card["id"] for card in (await sandbox.call("GET", "/v1/models"))[1]["data"]]
    assert "gamma" in names
    assert "alpha" not in names
    assert (await sandbox.state(models=["beta", "new"]))["models"] == ["beta", "new"]


async def test_the_state_names_what_runs(sandbox):
    await sandbox.load("alpha", max_seq_len=4096)
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        state = await sandbox.state()
        assert state["options"] == {"max_seq_len": 4096}
        assert [item["model"] for item in state["generations"]] == ["alpha"]
        async with sandbox.loading("beta") as load:
            await load.pings(1)
            state = await sandbox.state()
            assert (state["phase"], state["loading"]) == ("waiting", "beta")


async def test_nonsense_states_are_refused(sandbox):
    for body in ([], {"odd": 1}, {"loaded": "nowhere"}, {"models": [7]}):
        assert (await sandbox.call("POST", "/sandbox/state", body))[0] == 400


async def test_the_log_keeps_bodies_events_and_outcomes(sandbox):
    await sandbox.load("alpha")
    await sandbox.chat("[[tokens=3]]")
    (load,) = await sandbox.log("/v1/model/load")
    assert load["body"] == {"model_name": "alpha"}
    assert load["outcome"] == "completed"
    assert len(load["events"]) == 5
    assert load["at"] <= load["events"][0]["at"] <= load["ended_at"]
    (chat,) = await sandbox.log("/v1/chat/completions")
    assert (chat["outcome"], chat["tokens"], chat["finish_reason"]) == ("completed", 3, "stop")
    await sandbox.call("DELETE", "/sandbox/log")
    assert await sandbox.log("/v1/model/load") == []


async def test_a_failed_load_is_logged_as_failed(sandbox):
    await sandbox.load("big")
    assert (await sandbox.log("/v1/model/load"))[0]["outcome"] == "failed"


async def test_a_reset_ends_everything(sandbox):
    await sandbox.load("alpha")
    await sandbox.fault("load", "oom", times=-1)
    await sandbox.state(remove_models=["beta"], issues=["x"], token_rate=7)
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat, sandbox.loading("stuck") as load:
        await chat.data()
        await load.pings(1)
        _, state = await sandbox.call("POST", "/sandbox/reset")
        for stream in (chat, load):
            with pytest.raises(aiohttp.ClientError):
                await stream.rest()
    assert (state["loaded"], state["phase"], state["generations"]) == (None, "idle", [])
    assert (state["issues"], state["token_rate"], state["faults"]) == ([], None, [])
    assert (await sandbox.load("beta"))[-1]["status"] == "finished"


async def test_sigterm_ends_it_although_a_stream_hangs(sandbox_with):
    sandbox, process = await sandbox_with()
    await sandbox.load("alpha")
    async with sandbox.chatting("[[tokens=1000 rate=10]]") as chat:
        await chat.data()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == 0


def test_a_config_that_makes_no_sense_is_a_clear_error(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text('[[model]]\nname = "a"\nmodules = "many"\n')
    ended = _run("--config", str(path))
    assert ended.returncode == 2
    assert ended.stderr == "tabby_sandbox: [[model]] \"a\": modules must be int, not 'many'.\n"


def test_a_busy_port_is_a_clear_error(open_url):
    ended = _run("--port", open_url.rsplit(":", 1)[1])
    assert ended.returncode == 1
    assert "Choose another port with --port." in ended.stderr


async def test_the_demo_serves_its_models(sandbox_with):
    text = (ROOT / "tabby_sandbox" / "demo.toml").read_text(encoding="utf-8")
    sandbox, _ = await sandbox_with(text=text)
    assert await sandbox.loaded() == "Llama-3.1-8B-Instruct"
    _, body = await sandbox.call("GET", "/v1/models")
    assert {"Qwen2.5-Coder-7B-Instruct", "gemma-2-9b-it-Q4"} <= {card["id"] for card in body["data"]}


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tabby_sandbox", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
