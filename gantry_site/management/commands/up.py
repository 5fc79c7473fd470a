"""`manage.py up`: runs everything that Gantry needs, until Ctrl-C."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections

from gantry_site.child_log import Log
from gantry_site.children import Child, children, free_port, web_children
from gantry_site.supervise import supervise
from models_admin import data_folder, saving
from models_admin.servers import diagnosis, known

LOCAL_BINDS = ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104 (addresses that browsers on this machine reach as localhost)
BACKLOG = 1024  # connections that may wait: all pages connect at once after a restart


class Command(BaseCommand):
    """Prepare the data directory and the database, then run and watch every process."""

    help = "Starts everything, prints where it is and how to sign in, and ends everything on Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--webs",
            type=int,
            default=settings.WEBS,
            help="web processes, which share PORT (WEBS: %(default)s)",
        )
        parser.add_argument(
            "--own-ports",
            action="store_true",
            help="web processes on PORT, PORT + 1, …: to reach each by itself",
        )
        parser.add_argument("--workers", type=int, default=1, help="Celery workers")
        parser.add_argument(
            "--only",
            choices=["web"],
            help="run the web processes alone, where everything else runs elsewhere",
        )
        parser.add_argument(
            "--prepare", action="store_true", help="prepare the database and the admin, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._make_folders()
            if options["prepare"]:
                self.stdout.write(f"The database is ready. Sign in as: admin, password: {prepare_database()}")
                return
            webs = max(options["webs"], 1)
            ports = range(settings.PORT, settings.PORT + (webs if options["own_ports"] else 1))
            with ExitStack() as stack:
                sockets = [stack.enter_context(_bound(port)) for port in ports]
                sockets = sockets if options["own_ports"] else sockets * webs
                stack.enter_context(_lock_held(_run_folder() / "up.lock"))
                if options["only"]:
                    self._run_webs(sockets)
                else:
                    self._run_all(sockets, max(options["workers"], 1))
        except (OSError, OperationalError) as error:
            if not saving.is_full(error):
                raise
            raise CommandError(
                f"The disk of the data folder {settings.DATA_DIR} is full ({error}). Make room, then start again."
            ) from None

    def _make_folders(self) -> None:
        os.umask(0o077)  # what is in these files is nobody else's to read
        try:
            for folder in (settings.DATA_DIR, _run_folder(), settings.DATA_DIR / "redis"):
                data_folder.make(folder)
        except OSError as error:
            raise CommandError(data_folder.refusal(settings.DATA_DIR, error)) from None

    def _run_all(self, sockets: Sequence[socket.socket], workers: int) -> None:
        """Prepare, then run and watch every process until the end."""
        with _sandboxes(_run_folder() / "tabby_host") as sandboxes:
            password = prepare_database()
            listed = children(webs=_listening(sockets), workers=workers, sandboxes=sandboxes)
            log = _log(listed)
            _watch(listed, log, _Banner(log, listed, sandboxes, password))

    def _run_webs(self, sockets: Sequence[socket.socket]) -> None:
        listed = web_children(_listening(sockets))
        _watch(listed, _log(listed), lambda: None)


def _run_folder() -> Path:
    """Return the folder of the files that describe the running processes."""
    return settings.DATA_DIR / "run"


def _log(listed: Sequence[Child]) -> Log:
    return Log(sys.stdout, [child.name for child in listed], as_json=settings.LOG_FORMAT == "json")


def _watch(listed: Sequence[Child], log: Log, each_turn: Callable[[], None]) -> None:
    """Run these children until the end."""
    for child in listed:
        if child.pid_file is not None:
            child.pid_file.unlink(missing_ok=True)
    supervise(listed, folder=_run_folder(), log=log, each_turn=each_turn)
    log.say("everything has ended")


def _listening(sockets: Sequence[socket.socket]) -> list[int]:
    """Have the sockets listen, now that processes will soon accept connections; return their file descriptors."""
    for each in sockets:
        each.listen(BACKLOG)
    return [each.fileno() for each in sockets]


def _bound(port: int) -> socket.socket:
    """Return a socket bound to settings.BIND and `port`, for all web processes; raises CommandError where that fails."""
    bound = socket.socket(socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.BIND, port))
    except (OSError, OverflowError) as error:
        bound.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} of {settings.BIND} is taken by another program. Stop that one, or choose "
                f"another port, such as: PORT={port + 1} make run"
            ) from None
        raise CommandError(
            f"Nothing can be served on port {port} of {settings.BIND}: {error}. Change PORT or GANTRY_BIND."
        ) from None
    return bound


@contextmanager
def _sandboxes(path: Path) -> Iterator[list[int]]:
    """Choose a port for each of SANDBOXES, and write their addresses to `path`, which the settings read.

    None is run, and the list is empty, where TABBY_HOST is set.
    """
    if not settings.TABBY_SANDBOX:
        yield []
        return
    ports = [free_port() for _ in range(settings.SANDBOXES)]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    if len(addresses) > 1:
        addresses = [f"gpu{number}={address}" for number, address in enumerate(addresses, start=1)]
    path.write_text(f"{','.join(addresses)}\n")
    try:
        yield ports
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _lock_held(path: Path) -> Iterator[None]:
    """Hold the lock file `path` within the block; raises CommandError when another process holds it."""
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


def prepare_database() -> str:
    """Bring the database up to date, with an admin in it; return the password to show."""
    call_command("migrate", verbosity=0, interactive=False)
    password = ensure_admin()
    connections.close_all()  # no connection is shared with a child
    return password


def ensure_admin() -> str:
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
    """Says where Gantry is and how to sign in, once a web process serves."""

    def __init__(self, log: Log, listed: Sequence[Child], sandboxes: Sequence[int], password: str) -> None:
        self.log = log
        self.pid_files = [child.pid_file for child in listed if child.pid_file is not None]
        self.sandboxes = sandboxes
        self.password = password
        self.shown = False

    def __call__(self) -> None:
        if self.shown or not any(path.exists() for path in self.pid_files):
            return
        self.shown = True
        host = "localhost" if settings.BIND in LOCAL_BINDS else settings.BIND
        tabby = ", ".join(f"{known.prefix(each)}{diagnosis.address(each)}" for each in known.all_servers())
        if self.sandboxes:
            what = "sandbox" if len(self.sandboxes) == 1 else "sandboxes"
            where = " and ".join(f"http://127.0.0.1:{port}" for port in self.sandboxes)
            tabby = f"{what} at {where} (set TABBY_HOST for a real server)"
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
