"""`manage.py up`: everything that Gantry needs, with one command, until Ctrl-C."""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import secrets
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections

from gantry_site.children import children, free_port
from gantry_site.supervise import Log, supervise
from models_admin import data_folder, saving
from models_admin.servers import diagnosis, known

# Addresses that stand for all of this machine's, and where to reach a server that listens there.
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Command(BaseCommand):
    """Prepare the data directory and the database, then run and watch every process."""

    help = "Starts everything, prints where it is and how to sign in, and ends everything on Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--webs", type=int, default=1, help="web processes, on PORT, PORT + 1, …")
        parser.add_argument("--workers", type=int, default=1, help="Celery workers")
        parser.add_argument(
            "--prepare", action="store_true", help="prepare the database and the admin, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run_all(options["webs"], options["workers"], prepare=options["prepare"])
        except (OSError, OperationalError) as error:
            if not saving.is_full(error):
                raise
            raise CommandError(
                f"The disk of the data folder {settings.DATA_DIR} is full ({error}). Make room, then start again."
            ) from None

    def run_all(self, webs: int, workers: int, *, prepare: bool) -> None:
        """Prepare, then run and watch every process until the end."""
        os.umask(0o077)  # what is in these files is nobody else's to read
        run = settings.DATA_DIR / "run"
        try:
            for folder in (settings.DATA_DIR, run, settings.DATA_DIR / "redis"):
                data_folder.make(folder)
        except OSError as error:
            raise CommandError(data_folder.refusal(settings.DATA_DIR, error)) from None
        if prepare:
            self.stdout.write(f"The database is ready. Sign in as: admin, password: {prepared()}")
            return
        webs, workers = max(webs, 1), max(workers, 1)
        for port in range(settings.PORT, settings.PORT + webs):
            _check_port(port)
        with _only_one(run / "up.lock"), _sandbox_host(run / "tabby_host") as sandbox_port:
            password = prepared()
            listed = children(webs=webs, workers=workers, sandbox_port=sandbox_port)
            names = [child.name for child in listed]
            log = Log(sys.stdout, names, as_json=settings.LOG_FORMAT == "json")
            supervise(listed, folder=run, log=log, each_turn=_Banner(log, sandbox_port, password))
        log.say("everything has ended")


def _check_port(port: int) -> None:
    """Raise CommandError unless a server could listen on settings.BIND and `port` now."""
    family = socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET
    try:
        socket.create_server((settings.BIND, port), family=family).close()
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} of {settings.BIND} is taken by another program. Stop that one, or choose "
                f"another port, such as: PORT={port + 1} make run"
            ) from None
        raise CommandError(
            f"Nothing can be served on port {port} of {settings.BIND}: {error}. Change PORT or GANTRY_BIND."
        ) from None


@contextmanager
def _sandbox_host(path: Path) -> Iterator[int | None]:
    """Give the sandbox a port, and tell the settings by the file `path`; None where no sandbox is wanted."""
    if not settings.TABBY_SANDBOX:
        yield None
        return
    port = free_port()
    path.write_text(f"http://127.0.0.1:{port}\n")
    try:
        yield port
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, or raise CommandError when another process holds it."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise CommandError(
                f"Gantry already runs with the data in {settings.DATA_DIR} (process {file.read().strip()}). "
                "Stop that one, or choose another folder: GANTRY_DATA_DIR=/another/folder make run"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def prepared() -> str:
    """Bring the database up to date, with an admin in it; return the password to show."""
    call_command("migrate", verbosity=0, interactive=False)
    password = first_admin()
    connections.close_all()  # no connection is shared with a child
    return password


def first_admin() -> str:
    """Make the superuser `admin` when there is no superuser; return the password to show for it.

    A random password is kept in a file, and shown for as long as it is the valid one. One that was chosen by
    somebody is not shown.
    """
    users = get_user_model()._default_manager
    kept = settings.DATA_DIR / "admin-password"
    if not users.filter(is_superuser=True).exists():
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(9)
        if not settings.ADMIN_PASSWORD:
            kept.touch(mode=0o600)
            kept.write_text(f"{password}\n")
        users.create_superuser("admin", password=password)
    admin = users.filter(username="admin").first()
    if kept.exists() and admin is not None and admin.check_password(kept.read_text().strip()):
        return kept.read_text().strip()
    return "as you set it"


class _Banner:
    """Says where Gantry is and how to sign in, once the web process answers."""

    def __init__(self, log: Log, sandbox_port: int | None, password: str) -> None:
        self.log = log
        self.sandbox_port = sandbox_port
        self.password = password
        self.shown = False

    def __call__(self) -> None:
        if self.shown or not _serves():
            return
        self.shown = True
        host = "localhost" if settings.BIND in ("127.0.0.1", "::1", *WILDCARDS) else settings.BIND
        tabby = diagnosis.address(known.default())
        if self.sandbox_port is not None:
            tabby = f"sandbox at http://127.0.0.1:{self.sandbox_port} (set TABBY_HOST for a real server)"
        for line in (
            "",
            f"  Gantry is ready:  http://{host}:{settings.PORT}{settings.FORCE_SCRIPT_NAME}/",
            "  sign in as:       admin",
            f"  password:         {self.password}",
            f"  TabbyAPI:         {tabby}",
            "  Ctrl-C stops everything.",
            "",
        ):
            self.log.say(line)


def _serves() -> bool:
    """Whether the first web process answers."""
    address = WILDCARDS.get(settings.BIND, settings.BIND)
    name = next((host for host in settings.ALLOWED_HOSTS if host[:1] not in "*."), "localhost")
    connection = http.client.HTTPConnection(address, settings.PORT, timeout=1)
    try:
        connection.request("GET", "/healthz", headers={"Host": name})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
