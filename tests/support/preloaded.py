"""Python processes that need not import the libraries: one that has them forks for each command.

A pytest plugin, named in tests/conftest.py. Of Gantry nothing is imported before: settings, environment and all of its
modules are read anew for each command.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What of the libraries can be imported before there are settings.
LIBRARIES = (
    "celery.app.amqp",
    "celery.app.task",
    "comrak",
    "django.contrib.admin",
    "django.contrib.messages.middleware",
    "django.contrib.staticfiles.finders",
    "django.core.management.commands.shell",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.forms",
    "django.middleware.csrf",
    "django.template.loader",
    "django.test.client",
    "django.views.generic",
    "environ",
    "kombu.transport.redis",
    "latex2mathml.converter",
    "nh3",
    "orjson",
    "prometheus_client",
    "psycopg_pool",
    "pydantic.main",
    "redis.asyncio",
    "requests",
    "whitenoise.middleware",
)


class Preloaded:
    """The process that forks. It starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def manage(
        self, *words: str, env: dict[str, str], patience: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """What `python manage.py WORDS` does in that environment."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as asked:
            out, err = Path(folder, "out"), Path(folder, "err")
            with self._starting:
                self._start()
            asked.settimeout(patience)
            asked.connect(str(self._address))
            what = {"words": words, "env": env, "out": str(out), "err": str(err)}
            asked.sendall(json.dumps(what).encode())
            asked.shutdown(socket.SHUT_WR)
            status = int(asked.recv(99))
            return subprocess.CompletedProcess(
                ("manage.py", *words), status, out.read_text(), err.read_text()
            )

    def _start(self) -> None:
        if self._process:
            return
        self._folder = tempfile.TemporaryDirectory()
        self._address = Path(self._folder.name, "socket")
        env = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self._address))
            listening.listen()
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listening.fileno())],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
            )

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process:
            self._process.communicate()
            self._folder.cleanup()
            self._process = None


preloaded = Preloaded()


def pytest_unconfigure() -> None:
    """End it with the suite."""
    preloaded.end()


def _forked(listening: socket.socket) -> dict[str, Any]:
    """Fork for each connection until stdin is closed; return only where a command is to be run, with what was asked."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [])[0]):
        connection, _ = ready[0].accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            with connection, connection.makefile("rb") as file:
                asked: dict[str, Any] = json.loads(file.read())
                if not (child := os.fork()):
                    return asked
                _, status = os.waitpid(child, 0)
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                os._exit(0)
        connection.close()
    raise SystemExit


def _become(asked: dict[str, Any]) -> None:
    """Have environment, arguments and files of a process that was started with the command."""
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))  # noqa: SIM115
    sys.argv = ["manage.py", *asked["words"]]


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    _become(_forked(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_path("manage.py", run_name="__main__")
