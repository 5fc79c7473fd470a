"""A whole Gantry and a sandbox for the benchmarks, each process where it belongs, and what it has used.

The web process has one core to itself; everything else (sandbox, Redis, worker, beat, and the client that measures) shares
the other one. What the web process spends is then Gantry's cost, and nobody slows it down. On a single core all share that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from bench.stream_processes import ROOT, Process, Sandbox

CORES = sorted(os.sched_getaffinity(0))
WEB_CORE, OTHER_CORE = CORES[0], CORES[-1]
FOUR = 4  # cores, of which a second web process can have one
PATIENCE = 60.0
KEY = "the-key-of-the-benchmark"
MODULES = 50

MODELS = f"""
[server]
initial_model = "first-8B"
[auth]
admin_key = "{KEY}"
[[model]]
name = "first-8B"
modules = {MODULES}
seconds_per_module = 0.1
max_seq_len = 262144
[[model]]
name = "second-8B"
modules = {MODULES}
seconds_per_module = 0.1
max_seq_len = 262144
"""


class System:
    """Everything that `manage.py up` runs, started the same way, with one web process that can be started anew.

    So many sandboxes: the only one has no name for Gantry, several are gpu1, gpu2, …
    """

    def __init__(self, folder: Path, *, models: str = MODELS, servers: int = 1) -> None:
        self.folder, self.models, self.servers = folder, models, servers
        self.processes: list[Process] = []
        self.web: Process
        self.port = 0
        self.others: list[tuple[Process, int]] = []  # web processes beside the first, and their ports
        self.bare: Process | None = None
        self.bare_port = 0
        self._webs = 0
        self._profiled = False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.processes):
            process.end()

    def _start(self) -> None:
        self.sandboxes = [Sandbox(self._start_sandbox(number)) for number in range(1, self.servers + 1)]
        self.sandbox = self.sandboxes[0]
        self._settle_environment()
        import django  # noqa: PLC0415 (reads the environment that was just made)

        django.setup()
        from django.conf import settings  # noqa: PLC0415

        from gantry_site.children import children  # noqa: PLC0415

        for name in ("run", "redis"):
            (settings.DATA_DIR / name).mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "manage.py", "up", "--prepare"]
        subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        listed = {child.name: child for child in children(webs=[], workers=1, sandboxes=[])}
        for child in listed.values():
            self.spawn(child.name, list(child.argv), OTHER_CORE)

    def _start_sandbox(self, number: int) -> str:
        config = self.folder / "models.toml"
        config.write_text(self.models)
        tomllib.loads(self.models)
        argv = [sys.executable, "-u", "-m", "tabby_sandbox", "--port", "0", "--config", str(config)]
        process = self.spawn(f"sandbox-{number}", argv, OTHER_CORE)
        return str(_until(lambda: _address(process), "the sandbox"))

    def _settle_environment(self) -> None:
        """What a new installation has, all defaults but for the place and for TabbyAPI."""
        for name in ("REDIS_URL", "SECRET_KEY", "GANTRY_ADMIN_PASSWORD", "TABBY_API_KEY", "SERVER"):
            os.environ[name] = ""
        os.environ.update(
            DJANGO_SETTINGS_MODULE="gantry_site.settings",
            GANTRY_DATA_DIR=str(self.folder),
            TABBY_HOST=self._host(),
            TABBY_ADMIN_KEY=KEY,
            GANTRY_BIND="127.0.0.1",
            LOG_LEVEL="WARNING",
        )
        os.environ.setdefault("DATABASE_URL", "")

    def _host(self) -> str:
        named = (f"gpu{number}={each.url}" for number, each in enumerate(self.sandboxes, 1))
        return self.sandbox.url if self.servers == 1 else ",".join(named)

    def start_web(self, server: str = "daphne", *, profile: Path | None = None) -> Process:
        """Start the web process, after ending the one there was; return when it serves and knows the model."""
        self.end_web()
        self.port, argv = _web(server)
        self._profiled = profile is not None
        if profile is not None:
            at = argv.index("-m")
            argv[at + 1 : at + 1] = ["bench.stream_profile", str(profile)]
        self.web = self._serving(self.port, argv, WEB_CORE)
        _until(_models_are_known, "the loaded models")
        return self.web

    def start_another_web(self, server: str = "daphne") -> None:
        """Start one more web process beside the first; it has another core where there are four."""
        port, argv = _web(server)
        core = CORES[1 + len(self.others) % (len(CORES) - 2)] if len(CORES) >= FOUR else WEB_CORE
        self.others.append((self._serving(port, argv, core), port))

    def _serving(self, port: int, argv: list[str], core: int) -> Process:
        self._webs += 1
        process = self.spawn(f"web-{self._webs}", argv, core)
        _until(lambda: self._answers(process, port), "the web process")
        return process

    @property
    def webs(self) -> list[tuple[Process, int]]:
        """The web processes that run, with their ports."""
        return [(self.web, self.port), *self.others]

    def start_bare(self) -> Process:
        """Start the bare relay on the web process' core, unless it runs; return when it serves."""
        from gantry_site.children import PYTHON, free_port  # noqa: PLC0415

        if self.bare is None:
            self.bare_port = free_port()
            argv = [
                *PYTHON,
                "-m",
                "bench.bare_relay",
                f"--port={self.bare_port}",
                f"--url={self.sandbox.url}",
            ]
            self.bare = self.spawn("bare", [*argv, f"--key={KEY}"], WEB_CORE)
            _until(lambda: self._answers(self.bare, self.bare_port), "the bare relay")
        return self.bare

    def end_web(self) -> None:
        """End the web processes, if there are any."""
        for process, _ in self.webs if self._webs else ():
            if process in self.processes:
                process.end()
                self.processes.remove(process)
        self.others = []

    @contextmanager
    def profiled(self) -> Iterator[None]:
        """What happens in the block counts for the web process's profile, if there is to be one."""
        if self._profiled:
            os.kill(self.web.pid, signal.SIGUSR1)
        yield
        if self._profiled:
            os.kill(self.web.pid, signal.SIGUSR1)

    def check(self) -> None:
        """Raise RuntimeError if a process has died."""
        for process in self.processes:
            process.check()

    def _answers(self, process: Process | None, port: int) -> bool:
        if process is not None:
            process.check()
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def spawn(self, name: str, argv: list[str], core: int) -> Process:
        """Start a process of the system on a core; it ends with all others."""
        process = Process(name, argv, core, self.folder / f"{name}.log")
        self.processes.append(process)
        return process


def _web(server: str) -> tuple[int, list[str]]:
    """Return a free port, and the command of a web process that serves on it."""
    from gantry_site.children import PYTHON, free_port  # noqa: PLC0415

    port = free_port()
    return port, [*PYTHON, "-m", "gantry_site.serve", f"--port={port}", f"--server={server}"]


def _address(process: Process) -> str:
    process.check()
    line = process.log.read_text().partition("\n")[0]
    return line.rpartition(" ")[2] if line.startswith("TabbyAPI sandbox on") else ""


def _models_are_known() -> bool:
    from models_admin.presentation import snapshots  # noqa: PLC0415 (Django is set up by now)
    from models_admin.servers import known  # noqa: PLC0415

    return all(snapshots.current(each)["state"] == "ready" for each in known.all_servers())


def _until(check: Any, what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        if time.monotonic() > end:
            raise RuntimeError(f"Waited {PATIENCE:g} s for {what}")
        time.sleep(0.05)
    return found


@contextmanager
def running(**options: Any) -> Iterator[System]:
    """A whole system in a folder of its own, which is removed with it; this process moves to the clients' core."""
    if shutil.which("taskset") is None:
        raise SystemExit("The benchmarks need taskset (apt-get install util-linux).")
    os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as name, System(Path(name), **options) as system:
        yield system
