"""Gantry as an operator runs it: `manage.py up` as a process, for tests of whole paths."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import environ
import psycopg
import requests
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
# Long enough for a loaded machine; nothing waits for it where things go well.
PATIENCE = 180.0
# Empty, so that neither this machine's environment nor a file .env says otherwise.
UNSET = ("TABBY_HOST", "REDIS_URL", "DATABASE_URL", "SECRET_KEY", "GANTRY_ADMIN_PASSWORD", "TABBY_ADMIN_KEY")
# Whether the test that runs is among those that also run on PostgreSQL (support/selection.py).
is_allowed = True


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens; nor on the one after it."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def environment(folder: Path, port: int, **settings: str) -> dict[str, str]:
    """Return an environment in which Gantry keeps all its data in `folder` and serves on `port`."""
    assert is_allowed, "a test that starts a Gantry has the marker `database`, else it runs on SQLite only"
    own = {
        "GANTRY_DATA_DIR": str(folder),
        "PORT": str(port),
        "GANTRY_BIND": "127.0.0.1",
        "WEBS": "1",
        "DATABASE_URL": database_of(folder),
    }
    return {**os.environ, **dict.fromkeys(UNSET, ""), **own, **settings}


def database_of(folder: Path) -> str:
    """Return the URL of the database that belongs to `folder`: '' is SQLite in it, else one in the suite's PostgreSQL."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        return ""
    name = f"gantry_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    facts = environ.Env.db_url_config(server)
    connected = psycopg.connect(
        host=facts["HOST"],
        user=facts["USER"],
        dbname=facts["NAME"],
        password=facts["PASSWORD"],
        autocommit=True,
    )
    with connected as connection, suppress(psycopg.errors.DuplicateDatabase):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{server.rpartition('/')[0]}/{name}"


def lives(pid: int) -> bool:
    """Whether there is such a process, other than a dead one that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until `holds()`, or fail, naming what was waited for."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE:.0f} s"
        time.sleep(0.05)


class Process:
    """A process whose output is waited for line by line. Its group is killed when the block is left."""

    def __init__(self, *argv: str, env: dict[str, str]) -> None:
        self.argv = argv
        self.env = env
        self.seen: list[str] = []
        self.lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        self.popen = subprocess.Popen(
            self.argv,
            cwd=ROOT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        return self

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as output:
            for line in output:
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.reader.join()

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line, after those seen so far, in which `pattern` is found; return the match."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no line with {pattern!r} in:\n" + "\n".join(self.seen)
            self.seen.append(line)
            if match := re.search(pattern, line):
                return match

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)


class Gantry(Process):
    """`manage.py up`, with the data in `folder`; ready to serve when the block is entered."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        env = environment(folder, self.port, **settings)
        super().__init__(sys.executable, "-u", "manage.py", "up", *options, env=env)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.url = self.line(r"Gantry is ready: +(\S+)/$")[1]
            self.password = self.line(r"password: +(.+)$")[1]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def children(self) -> dict[str, int]:
        """Return the process ids of the children that run now, by name."""
        table: dict[str, int] = json.loads((self.folder / "run" / "children.json").read_text())
        return table

    def kill(self, name: str) -> None:
        """Kill a child, and wait until its successor runs."""
        old = self.children()[name]
        os.kill(old, signal.SIGKILL)
        until(lambda: self.children().get(name, old) != old, f"another {name}")

    def serves(self, port: int | None = None) -> bool:
        """Whether the web process, or the one on `port`, answers."""
        try:
            return requests.get(f"http://127.0.0.1:{port or self.port}/healthz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def signed_in(self, name: str = "admin", password: str | None = None) -> requests.Session:
        """Return a session of that user, or fail."""
        session = requests.Session()
        page = f"{self.url}/admin/login/?next=/admin/"
        session.get(page, timeout=10).raise_for_status()
        form = {
            "username": name,
            "password": password or self.password,
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        answer = session.post(page, form, headers={"Referer": page}, timeout=10, allow_redirects=False)
        assert answer.status_code == 302, f"{name} cannot sign in"
        return session
