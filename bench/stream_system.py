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

ROOT = Path(__file__).resolve().parents[1]
CORES = sorted(os.sched_getaffinity(0))
WEB_CORE, OTHER_CORE = CORES[0], CORES[-1]
FOUR = 4  # cores, of which a second web process can have one
TICKS = os.sysconf("SC_CLK_TCK")
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


class Process:
    """A child process on one core, in its own group; its output goes to a file that is shown when it dies."""

    def __init__(self, name: str, argv: list[str], core: int, log: Path) -> None:
        self.name, self.log = name, log
        self.popen = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            cwd=ROOT,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def check(self) -> None:
        """Raise RuntimeError, with its last words, if the process has ended."""
        if self.popen.poll() is not None:
            words = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} has ended with {self.popen.returncode}:\n{words}")

    def cpu(self) -> float:
        """CPU seconds so far, of all its threads, in user and system mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """MiB that are resident now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self) -> None:
        """Ask it to end, and kill its group if it does not."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait()


class Sandbox:
    """The stand-in TabbyAPI, and its record of what was asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def log(self, path: str) -> list[dict[str, Any]]:
        """The requests to `path` since the last forget(), oldest first."""
        return [each for each in self.call("GET", "log")["requests"] if each["path"] == path]

    def forget(self) -> None:
        """Empty the record."""
        self.call("DELETE", "log")


class System:
    """Everything that `manage.py up` runs, started the same way, with one web process that can be started anew."""

    def __init__(self, folder: Path, *, models: str = MODELS) -> None:
        self.folder, self.models = folder, models
        self.processes: list[Process] = []
        self.web: Process
        self.port = 0
        self.another: tuple[Process, int] | None = None  # a second web process, and its port
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
        self.sandbox = Sandbox(self._start_sandbox())
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

    def _start_sandbox(self) -> str:
        config = self.folder / "models.toml"
        config.write_text(self.models)
        tomllib.loads(self.models)
        argv = [sys.executable, "-u", "-m", "tabby_sandbox", "--port", "0", "--config", str(config)]
        process = self.spawn("sandbox", argv, OTHER_CORE)
        return str(_until(lambda: _address(process), "the sandbox"))

    def _settle_environment(self) -> None:
        """What a new installation has, all defaults but for the place and for TabbyAPI."""
        for name in ("REDIS_URL", "SECRET_KEY", "GANTRY_ADMIN_PASSWORD", "TABBY_API_KEY", "SERVER"):
            os.environ[name] = ""
        os.environ.update(
            DJANGO_SETTINGS_MODULE="gantry_site.settings",
            GANTRY_DATA_DIR=str(self.folder),
            TABBY_HOST=self.sandbox.url,
            TABBY_ADMIN_KEY=KEY,
            GANTRY_BIND="127.0.0.1",
            LOG_LEVEL="WARNING",
        )
        os.environ.setdefault("DATABASE_URL", "")

    def start_web(self, server: str = "daphne", *, profile: Path | None = None) -> Process:
        """Start the web process, after ending the one there was; return when it serves and knows the model."""
        self.end_web()
        self.port, argv = _web(server)
        self._profiled = profile is not None
        if profile is not None:
            at = argv.index("-m")
            argv[at + 1 : at + 1] = ["bench.stream_profile", str(profile)]
        self.web = self._serving(self.port, argv, WEB_CORE)
        _until(_model_is_known, "a loaded model")
        return self.web

    def start_another_web(self, server: str = "daphne") -> None:
        """Start a second web process beside the first; it has a core of its own where there are four."""
        port, argv = _web(server)
        self.another = self._serving(port, argv, CORES[1] if len(CORES) >= FOUR else WEB_CORE), port

    def _serving(self, port: int, argv: list[str], core: int) -> Process:
        self._webs += 1
        process = self.spawn(f"web-{self._webs}", argv, core)
        _until(lambda: self._answers(process, port), "the web process")
        return process

    @property
    def webs(self) -> list[tuple[Process, int]]:
        """The web processes that run, with their ports."""
        return [(self.web, self.port), *([self.another] if self.another else [])]

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
        self.another = None

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


def _model_is_known() -> bool:
    from models_admin.presentation import snapshots  # noqa: PLC0415 (Django is set up by now)
    from models_admin.servers import known  # noqa: PLC0415

    return bool(snapshots.current(known.default())["state"] == "ready")


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
