"""A real sandbox process on a free port, and a small client that reads its streams event by event."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

# Seconds; only a failure waits for it.
PATIENCE = 120
FAST = """
[server]
ping_seconds = 0.03
order = "list"
{server}
[auth]
{auth}
[[model]]
name = "alpha"
modules = 4
seconds_per_module = 0.002
tokens_per_second = 0
[[model]]
name = "beta"
modules = 3
seconds_per_module = 0.002
tokens_per_second = 0
max_seq_len = 4096
[model.overrides]
cache_mode = "Q6"
[[model]]
name = "big"
modules = 9
seconds_per_module = 0.001
oom_at = 5
[[model]]
name = "broken"
modules = 5
seconds_per_module = 0.001
corrupted = true
[[model]]
name = "stuck"
modules = 5
seconds_per_module = 0.001
hang_at = 2
[[model]]
name = "eyes"
modules = 3
vision = true
vision_modules = 2
draft = true
draft_modules = 1
seconds_per_module = 0.001
[[model]]
name = "thinker"
modules = 2
seconds_per_module = 0.001
reasoning = true
tokens_per_second = 0
[[model]]
name = "opener"
modules = 2
seconds_per_module = 0.001
reasoning = true
opens_think = true
tool_format = true
tokens_per_second = 0
[[model]]
name = "parrot"
modules = 2
seconds_per_module = 0.001
tokens_per_second = 0
reply = "{{model}} heard {{message}}"
"""


class Stream:
    """An open SSE response. An event is "ping", parsed JSON, or the word of a `data:` line that is none."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.raw = b""
        self._events = self._read()

    async def _read(self) -> AsyncIterator[Any]:
        rest = b""
        async for piece in self.response.content.iter_any():
            self.raw += piece
            *blocks, rest = (rest + piece).split(b"\r\n\r\n")
            for block in blocks:
                if block.startswith(b": ping - "):
                    yield "ping"
                    continue
                word = block.removeprefix(b"data: ")
                try:
                    yield json.loads(word)
                except ValueError:
                    yield word.decode()

    async def next(self) -> Any:
        """The next event, pings included."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._events)

    async def data(self) -> Any:
        """The next event that is no ping."""
        while (event := await self.next()) == "ping":
            pass
        return event

    async def pings(self, count: int) -> None:
        """Read `count` pings, and fail on anything else."""
        for _ in range(count):
            assert await self.next() == "ping"

    async def rest(self) -> list[Any]:
        """Everything up to the end of the stream, without pings."""
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self._events if event != "ping"]


class Client:
    """One sandbox, spoken to over HTTP."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status, and the JSON (or text) of a whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, self.url + path, data=data, headers=named) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json and text else text

    @asynccontextmanager
    async def stream(self, path: str, body: Any) -> AsyncIterator[Stream]:
        async with self._session.post(self.url + path, data=json.dumps(body)) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)

    def loading(self, name: str, **options: Any) -> Any:
        return self.stream("/v1/model/load", {"model_name": name, **options})

    async def load(self, name: str, **options: Any) -> list[Any]:
        async with self.loading(name, **options) as stream:
            return await stream.rest()

    async def loaded(self) -> str | None:
        """What GET /v1/model names, or None for its 503."""
        status, body = await self.call("GET", "/v1/model")
        assert status in {200, 503}
        return body["id"] if status == 200 else None

    def chatting(self, text: str, **options: Any) -> Any:
        return self.stream("/v1/chat/completions", _chat(text, stream=True, **options))

    async def chat(self, text: str, **options: Any) -> list[Any]:
        async with self.chatting(text, **options) as stream:
            return await stream.rest()

    async def whole(self, text: str, **options: Any) -> tuple[int, Any]:
        return await self.call("POST", "/v1/chat/completions", _chat(text, **options))

    async def fault(self, on: str, kind: str, **more: Any) -> None:
        status, body = await self.call("POST", "/sandbox/fault", {"on": on, "kind": kind, **more})
        assert status == 200, body

    async def release(self) -> None:
        await self.call("DELETE", "/sandbox/fault")

    async def state(self, **changes: Any) -> Any:
        status, body = await self.call("POST" if changes else "GET", "/sandbox/state", changes or None)
        assert status == 200, body
        return body

    async def log(self, path: str) -> list[Any]:
        _, body = await self.call("GET", f"/sandbox/log?path={path}")
        return list(body["requests"])

    async def eventually_logged(self, path: str, outcome: str) -> Any:
        """The newest record of `path`, once it has this outcome."""
        async with asyncio.timeout(PATIENCE):
            while (record := (await self.log(path))[-1])["outcome"] != outcome:
                pass
        return record


def _chat(text: str, **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **options}


def text_of(events: list[Any]) -> str:
    """The content of a streamed reply."""
    return "".join(
        event["choices"][0]["delta"].get("content", "")
        for event in events
        if isinstance(event, dict) and "choices" in event
    )


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start sandboxes; the attribute `url` of the process tells where it serves."""
    started: list[subprocess.Popen[str]] = []

    def start(server: str = "", auth: str = "", text: str | None = None) -> subprocess.Popen[str]:
        path = tmp_path_factory.mktemp("sandbox") / "models.toml"
        path.write_text(text if text is not None else FAST.format(server=server, auth=auth))
        environ = {key: value for key, value in os.environ.items() if not key.startswith("SANDBOX_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "tabby_sandbox", "--port", "0", "--config", str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=environ,
        )
        started.append(process)
        assert process.stdout is not None
        process.url = process.stdout.readline().strip().removeprefix("TabbyAPI sandbox on ")  # type: ignore[attr-defined]
        return process

    yield start
    for process in started:
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def open_url(launch: Callable[..., Any]) -> str:
    return str(launch().url)


@pytest.fixture(scope="session")
def keyed_url(launch: Callable[..., Any]) -> str:
    return str(launch(auth='admin_key = "boss"\napi_key = "user"').url)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """A client of the sandbox at `url`, which is reset first."""
    async with aiohttp.ClientSession() as session:
        client = Client(url, session)
        await client.call("POST", "/sandbox/reset")
        yield client


@pytest.fixture
async def sandbox(open_url: str) -> AsyncIterator[Client]:
    """A sandbox without keys, in its first state: nothing loaded."""
    async with connect(open_url) as client:
        yield client


@pytest.fixture
async def keyed(keyed_url: str) -> AsyncIterator[Client]:
    """A sandbox with the admin key "boss" and the API key "user"."""
    async with connect(keyed_url) as client:
        yield client


@pytest.fixture
async def sandbox_with(launch: Callable[..., Any]) -> AsyncIterator[Callable[..., Any]]:
    """Start a sandbox of one's own: `client, process = await sandbox_with(server="…")`."""
    sessions: list[aiohttp.ClientSession] = []

    async def start(**configuration: str) -> tuple[Client, Any]:
        process = await asyncio.to_thread(launch, **configuration)
        sessions.append(aiohttp.ClientSession())
        return Client(process.url, sessions[-1]), process

    yield start
    for session in sessions:
        await session.close()


@pytest.fixture
def said() -> Callable[[list[Any]], str]:
    """`said(events)`: the content of a streamed reply."""
    return text_of
