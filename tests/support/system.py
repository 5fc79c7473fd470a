"""The whole system as processes: two web servers, a worker, beat, Redis and the sandbox.

A pytest plugin, named in tests/conftest.py: all tests of whole paths and of pages share one running Gantry.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from system.running import Gantry, Process, environment, free_port

from support.model_folders import whole
from support.people import Person, add_user
from support.preloaded import preloaded
from support.tabby import ADMIN_KEY, Tabby, running, until

PASSWORD = "the-administrators-password"
QUICK = {
    "SWITCH_TIMEOUT": "2",
    "DRAIN_TIMEOUT": "1.5",
    "REFRESH_INTERVAL": "2",
    "HEARTBEAT_TTL": "3",
    "KEEP_MODEL_AFTER": "2",
    "REPLY_STALL_TIMEOUT": "2",
    "FRAMES_PER_SECOND": "200",
    "REPLY_MAX_CHARS": "2000000",
    "SIGN_IN_ATTEMPTS": "3",
    "GATEWAY_QUIET_SECONDS": "1",
    "GATEWAY_READER_SECONDS": "2",
    "GANTRY_TRUSTED_PROXIES": "127.0.0.9",
}


@pytest.fixture(scope="session")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with running(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        yield tabby


@pytest.fixture(scope="session")
def gantry(tmp_path_factory: pytest.TempPathFactory, _sandbox: Tabby) -> Iterator[Gantry]:
    """`manage.py up` with two web processes, talking to the sandbox."""
    folder = tmp_path_factory.mktemp("gantry")
    models = tmp_path_factory.mktemp("models")
    whole(models / "alpha-7B")
    settings = {"TABBY_HOST": _sandbox.url, "TABBY_ADMIN_KEY": ADMIN_KEY, "GANTRY_ADMIN_PASSWORD": PASSWORD}
    settings["MODELS_DIR"] = str(models)
    with Gantry(folder, "--webs=2", "--own-ports", **settings, **QUICK) as process:
        yield process
        process.end()


@dataclass
class Several:
    """A Gantry with several TabbyAPIs, by name, whose processes a test may kill or freeze."""

    gantry: Gantry
    admin: Person
    tabbies: dict[str, Tabby]
    processes: dict[str, subprocess.Popen[str]]
    started: ExitStack

    def begin_anew(self, name: str, folder: Path) -> None:
        """Start a TabbyAPI again, which was killed, at its old address."""
        port = int(self.tabbies[name].url.rpartition(":")[2])
        self.tabbies[name], self.processes[name] = self.started.enter_context(running(folder, port=port))


@contextmanager
def several(folder: Path, *names: str, **settings: str) -> Iterator[Several]:
    """Start a Gantry with so many sandboxes, with two web processes; ready when it has seen all of them."""
    with ExitStack() as stack:
        tabbies, processes = {}, {}
        for name in names:
            (folder / name).mkdir()
            started = stack.enter_context(running(folder / name, port=free_port()))
            tabbies[name], processes[name] = started
        hosts = ",".join(f"{name}={tabby.url}" for name, tabby in tabbies.items())
        own = {"TABBY_HOST": hosts, "TABBY_ADMIN_KEY": ADMIN_KEY, "GANTRY_ADMIN_PASSWORD": PASSWORD}
        gantry = Gantry(folder / "gantry", "--webs=2", "--own-ports", **{**QUICK, **own, **settings})
        with gantry:
            admin = Person(gantry.url, "admin", PASSWORD)
            with admin.watch() as page:
                page.until(
                    lambda each: (
                        {server["state"] for server in each.backend["servers"]} == {"ready"}
                        and each.backend["worker"]
                    ),
                    "all servers",
                )
            yield Several(gantry, admin, tabbies, processes, stack)
            gantry.end()


@contextmanager
def web_process(gantry: Gantry, server: str, **settings: str) -> Iterator[tuple[Process, str]]:
    """One more web process of `gantry`, served by this server; and its URL."""
    port = free_port()
    env = {**gantry.env, **environment(gantry.folder, port, **{**QUICK, **settings})}
    env |= {name: gantry.env[name] for name in ("TABBY_HOST", "TABBY_ADMIN_KEY")}
    command = (sys.executable, "-m", "gantry_site.serve", f"--server={server}", f"--port={port}")
    with Process(*command, env=env) as web:
        until(lambda: gantry.serves(port), "the web process")
        yield web, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def admin(gantry: Gantry) -> Person:
    return Person(gantry.url, "admin", PASSWORD)


@pytest.fixture(scope="session")
def alice(admin: Person) -> Person:
    """A user without any permission."""
    return add_user(admin, "alice")


@pytest.fixture(scope="session")
def bob(admin: Person) -> Person:
    """Another one."""
    return add_user(admin, "bob")


@pytest.fixture
def tabby(_sandbox: Tabby, admin: Person) -> Tabby:
    """The sandbox in its first state, and a Gantry that has seen so and has nothing to do."""
    _sandbox.no_faults()
    with admin.watch() as page:
        page.until(lambda each: each.backend["switch"] is None, "the end of the last switch")
    _sandbox.reset()
    until(lambda: _calm(admin), "a calm Gantry")
    return _sandbox


def _calm(admin: Person) -> bool:
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    # A reply of the test before may be between queue and stream: the queue is looked at between two looks at streams.
    before = _nothing_streams(admin)
    asked = admin.get("/admin/models_admin/tabbymodel/unload/").text
    return before and not re.search(r"\d+ messages? waiting", asked) and _nothing_streams(admin)


def _nothing_streams(admin: Person) -> bool:
    with admin.watch() as page:
        now = page.backend
    return now["state"] == "ready" and now["model"] == "alpha-7B" and not now["replying"]


@pytest.fixture
def second_url(gantry: Gantry) -> str:
    """The other web process."""
    return f"http://127.0.0.1:{gantry.port + 1}"


def manage(gantry: Gantry, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the running Gantry, with some settings changed."""
    return preloaded.manage(*words, env={**gantry.env, **settings})
