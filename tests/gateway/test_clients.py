"""Other people's clients on a running Gantry: each walks a whole path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from support.api_calls import Caller, said, words
from support.people import Person
from support.tabby import Tabby, until

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("openai_client.mjs")
TOOLS = {"name": "tools-8B", "modules": 5, "seconds_per_module": 0.01, "tool_format": True}


@contextmanager
def node(
    caller: Caller,
    text: str,
    headers: dict[str, str] | None = None,
    begun: Callable[[], object] = bool,
    **more: Any,
) -> Iterator[Iterator[Any]]:
    """A program under Node that asks for a chat, after `begun()` was called; what it tells, as it comes."""
    program = shutil.which("node")
    if program is None or not (ROOT / "node_modules" / "openai").exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "no node or npm here: apt-get install nodejs npm"
        )
    asked = json.dumps({"model": "", "messages": said(text), **more})
    argv = [program, str(SCRIPT), f"{caller.url}/v1", asked, json.dumps(headers or {})]
    env = {**os.environ, "OPENAI_API_KEY": caller.token}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env=env, **pipes) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        begun()
        process.stdin.close()
        yield map(json.loads, process.stdout)
        assert process.wait() == 0


def test_openais_package_for_javascript(caller: Caller, admin: Person, tabby: Tabby) -> None:
    with node(caller, "[[tokens=20 rate=0]]") as told:
        assert list(told) == [
            {"status": 200, "retryAfter": None},
            {"model": "alpha-7B", "text": words(1, 20)},
        ]
    with node(caller, "[[tokens=150 rate=15]]", stream=True) as told:
        assert next(told)["status"] == 200
        chunks: list[Any] = []
        while " w5" not in "".join(each["text"] for each in chunks):
            chunks.append(next(told))
        admin.start_switch("beta-8B-Q5")
        chunks += told
    assert "".join(each["text"] for each in chunks) == words(1, 150)
    assert list(dict.fromkeys(each["model"] for each in chunks)) == ["alpha-7B", "beta-8B-Q5"]


def test_openais_package_for_javascript_comes_back_when_it_is_told_to(
    caller: Caller, admin: Person, tabby: Tabby
) -> None:
    tabby.state(seconds_per_module=0.05)

    def load() -> None:
        number = admin.start_switch("slow-13B")
        until(lambda: admin.switch_row(number)["state"] == "loading", "the load")

    with node(caller, "[[tokens=20 rate=0]]", {"X-Gantry-Wait": "0"}, load) as told:
        *refused, accepted, answer = told
    assert {each["status"] for each in refused} == {503}
    assert all(int(each["retryAfter"]) >= 1 for each in refused)
    assert (accepted["status"], answer) == (200, {"model": "slow-13B", "text": words(1, 20)})


@tool
def get_time() -> str:
    """Tell the time."""
    return "It is noon."


def test_langchain(caller: Caller, admin: Person, tabby: Tabby) -> None:
    tabby.state(add_models=[TOOLS])
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    model = ChatOpenAI(
        base_url=f"{caller.url}/v1", api_key=SecretStr(caller.token), model="alpha-7B", max_retries=0
    )
    stream = model.stream("[[tokens=150 rate=15]]", stream_usage=True)
    answer = next(stream)
    for chunk in stream:
        begun, answer = "w5 " in answer.text, answer + chunk
        if not begun and "w5 " in answer.text:
            admin.start_switch("tools-8B")
    assert answer.text == words(1, 150)
    assert answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] == 150

    asking = model.model_copy(update={"model_name": "tools-8B"}).bind_tools([get_time])
    called = asking.invoke("[[tool]]What time is it?")
    assert [(each["name"], each["args"]) for each in called.tool_calls] == [("get_time", {})]
    streamed = list(asking.stream("[[tool]]What time is it?"))
    assert [each["name"] for chunk in streamed for each in chunk.tool_call_chunks] == ["get_time"]
