"""The whole system as an operator runs it, in a folder of its own, and the hands that kill and freeze its parts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench.chaos_truth import Database

ROOT = Path(__file__).resolve().parents[1]
ADMIN_KEY = "the-admin-key-of-the-trials"
# Long enough for a loaded machine, on which a process may take a minute to start; nothing is judged by it.
PATIENCE = 180.0
# So quick that a trial takes seconds; the proportions are those of the defaults.
QUICK = {
    "SWITCH_TIMEOUT": "3",
    "SWITCH_MAX_SECONDS": "60",
    "DRAIN_TIMEOUT": "1",
    "REFRESH_INTERVAL": "2",
    "HEARTBEAT_TTL": "3",
    "REPLY_STALL_TIMEOUT": "3",
    "FRAMES_PER_SECOND": "200",
}
SANDBOX = """
[server]
ping_seconds = 0.5
{initial}
[auth]
admin_key = "{key}"
"""
MODEL = """
[[model]]
name = "{name}"
modules = 12
seconds_per_module = 0.06
tokens_per_second = 40
max_seq_len = 65536
prefill_seconds = 0.4
unload_seconds = 0.4
{more}
"""
# What the administrator adds in each trial: a download of a few seconds.
REPOSITORY = {
    "name": "demo/added",
    "files": {"config.json": 1_000, "tokenizer.json": 100_000, "model.safetensors": 2_000_000},
    "bytes_per_second": 400_000,
}
MODELS = {
    "alpha-7B": "",
    "beta-8B-Q5": "",
    "gamma-VL-7B": "vision = true\ndraft = true",
    "huge-70B": "oom_at = 7",
}


class System:
    """Two web processes, two workers, beat, Redis and so many sandboxes. `database_url` '' is SQLite.

    The only sandbox is called "sandbox"; several have the names by which Gantry knows them: gpu1, gpu2, … `settings` are
    Gantry's, `model` is the table of each model in the sandboxes' configuration, as MODEL is one.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str = "",
        servers: int = 1,
        *,
        settings: Mapping[str, str] = QUICK,
        model: str = MODEL,
    ) -> None:
        self.folder, self._model = folder, model
        self.port = _free_ports(2)
        names = ["sandbox"] if servers == 1 else [f"gpu{number}" for number in range(1, servers + 1)]
        self.tabbies = {name: f"http://127.0.0.1:{_free_ports(1)}" for name in names}
        named = [f"{name}={url}" for name, url in self.tabbies.items()]
        self.webs = [f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port + 1}"]
        self.log = folder / "up.log"
        self.database = Database(folder / "data", database_url)
        own = {
            "GANTRY_DATA_DIR": str(folder / "data"),
            "PORT": str(self.port),
            "GANTRY_BIND": "127.0.0.1",
            "DATABASE_URL": self.database.url,
            "TABBY_HOST": self.tabbies["sandbox"] if servers == 1 else ",".join(named),
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "TABBY_API_KEY": "",
            "REDIS_URL": "",
            "SECRET_KEY": "",
            "KEEP_MODEL": "",
        }
        self.environment = {**os.environ, **own, **settings}
        self.tokens: dict[str, str] = {}  # for /v1, by whose it is
        self.frozen: set[int] = set()
        self._up: subprocess.Popen[bytes] | None = None
        self._sandboxes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, users: int) -> dict[str, str]:
        """Start everything; return {name: session cookie} of the admin and of so many users."""
        self.folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self.database.create)
        for name in self.tabbies:
            await self.start_sandbox(name, empty=False)
        argv = [sys.executable, "-u", "manage.py", "up", "--webs=2", "--own-ports", "--workers=2"]
        self._up = self._run(argv)
        for web in self.webs:
            await self.until(partial(self._serves, web), "the web processes")
        seats = [sys.executable, "-m", "bench.chaos_seats", str(users)]
        made = await asyncio.to_thread(
            subprocess.run, seats, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE
        )
        for name in ("worker", "worker-2"):
            await self.until(partial(self._works, name), "the workers")
        made_seats = json.loads(made.stdout)
        self.tokens = {name: token for name, (_, token) in made_seats.items()}
        return {name: cookie for name, (cookie, _) in made_seats.items()}

    async def stop(self) -> None:
        """End everything."""
        self.thaw()
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._up.wait, 30)
            except subprocess.TimeoutExpired:
                self._up.kill()  # its children die with it
        for process in (self._up, *self._sandboxes.values()):
            if process is not None:
                process.kill()
                process.wait()
        self._up = None
        self._sandboxes.clear()
        await asyncio.to_thread(self.database.drop)

    # The sandboxes, which are not under `up`: TabbyAPI never is -------------------------------------------------------

    async def start_sandbox(self, name: str, *, empty: bool) -> None:
        """Start a sandbox at its port, with nothing loaded if it is to be `empty`."""
        initial = "" if empty else 'initial_model = "alpha-7B"'
        models = "".join(self._model.format(name=model, more=more) for model, more in MODELS.items())
        config = self.folder / f"{name}.toml"
        config.write_text(SANDBOX.format(initial=initial, key=ADMIN_KEY) + models)
        argv = [sys.executable, "-m", "tabby_sandbox", "--config", str(config)]
        self._sandboxes[name] = self._run([*argv, "--port", self.tabbies[name].rpartition(":")[2]])
        await self.until(partial(self._sandbox_answers, name), "the sandbox")
        await self.ask_sandbox(name, "state", {"hub": {"repositories": [REPOSITORY]}})

    def _run(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    async def ask_sandbox(self, name: str, path: str, body: Any = None, method: str = "") -> Any:
        """Call a control endpoint of a sandbox (`/sandbox/…`)."""
        async with asyncio.timeout(5), aiohttp.ClientSession() as session:
            how = method or ("GET" if body is None else "POST")
            async with session.request(how, f"{self.tabbies[name]}/sandbox/{path}", json=body) as answer:
                answer.raise_for_status()
                return await answer.json()

    def address(self, name: str) -> str:
        """HOST:PORT of a web process, '' for whatever else."""
        return {"web": self.webs[0], "web-2": self.webs[1]}.get(name, "").removeprefix("http://")

    # Victims ----------------------------------------------------------------------------------------------------------

    def children(self) -> dict[str, int]:
        """{name: pid} of what runs now, the sandboxes included."""
        table: dict[str, int] = json.loads((self.folder / "data" / "run" / "children.json").read_text())
        running = {name: each.pid for name, each in self._sandboxes.items() if each.poll() is None}
        return {**table, **running}

    def kill(self, name: str) -> int:
        """Kill -9; return the pid that was."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        if name in self._sandboxes:
            self._sandboxes[name].wait()
        return pid

    def freeze(self, name: str) -> int:
        """Stop a process without its knowing, until thaw(); return its pid."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGSTOP)
        self.frozen.add(pid)
        return pid

    def thaw(self) -> None:
        """Let all frozen processes go on."""
        for pid in self.frozen:
            os.kill(pid, signal.SIGCONT)
        self.frozen.clear()

    async def returned(self, name: str, killed: int) -> None:
        """Wait until the successor of a process that was killed does its work."""
        await self.until(lambda: self._succeeded(name, killed), f"another {name}")

    async def _succeeded(self, name: str, killed: int) -> bool:
        pid = self.children().get(name, killed)
        if pid == killed:
            return False
        match name:
            case "web":
                return await self._serves(self.webs[0])
            case "web-2":
                return await self._serves(self.webs[1])
            case "worker" | "worker-2":
                return await self._works(name)
            case _:
                return await asyncio.to_thread(_redis_answers, self.folder / "data" / "redis.sock")

    async def _serves(self, web: str) -> bool:
        try:
            async with (
                asyncio.timeout(3),
                aiohttp.ClientSession() as session,
                session.get(f"{web}/healthz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _works(self, name: str) -> bool:
        pid = self.children().get(name)
        names = await asyncio.to_thread(self.database.workers)
        return any(f":{pid}:" in each for each in names)

    async def loaded(self) -> dict[str, str]:
        """What each sandbox has loaded; '' is nothing."""
        return {name: str((await self.ask_sandbox(name, "state"))["loaded"] or "") for name in self.tabbies}

    async def _sandbox_answers(self, name: str) -> bool:
        try:
            await self.ask_sandbox(name, "state")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return True

    async def until(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until `check()` says yes, or raise TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not await check():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not there after {PATIENCE:g} s; see {self.log}")
            await asyncio.sleep(0.1)


def _redis_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _free_ports(count: int) -> int:
    """The first of `count` ports in a row on which nothing listens."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first + 1, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        return first
