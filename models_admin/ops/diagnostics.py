"""What is wrong with an installation, or may become so: for `manage.py doctor`, checks, /readyz and the Models page.

Each examination asks one thing and says what it saw, in the system's own words, and what to do. None of them changes
anything, none waits for more than some seconds, and none shows a key. They may be made while everything is down.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.timesince import timesince

from models_admin import data_folder, process
from models_admin.models import Worker
from models_admin.servers import diagnosis, known, machine, state_row, worker_heartbeats
from models_admin.servers.finding import Finding, Level

PATIENCE_SECONDS = 3.0  # for each answer of Redis
LITTLE_SPACE, HARDLY_SPACE = 2 * 1024**3, 200 * 1024**2  # bytes
PROBE = b"\0" * 64 * 1024  # what a disk must take to count as one with room
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = "Redis answers but refuses writes"
# What Redis calls it when it refuses to write, and what to do.
REFUSALS = {
    "OOM": "It has reached its maxmemory: give it more, or empty it of what other programs keep there.",
    "READONLY": "REDIS_URL leads to a replica: let it lead to the primary.",
    "NOREPLICAS": "Fewer replicas are connected than its min-replicas-to-write asks for: bring them back, or lower that.",
    "MISCONF": "It cannot save its data: make room on its disk.",
}
CLOCK_SECONDS = 2.0


others: list[Callable[[], Iterator[Finding]]] = []  # examinations of rooms above; they may ask the database


def everything() -> Iterator[Finding]:
    """Examine all there is, one finding at least for each subject; what cannot be asked is said to be so."""
    yield disk()
    of_database = list(database())
    yield from of_database
    yield redis_server()
    if of_database[0].level == "error":  # each question more would wait for it in vain
        yield from clocks(with_database=False)
        yield from (_unknown("worker", "a worker"), _unknown("beat", "beat"))
        yield from _servers(with_history=False)
        return
    yield from clocks()
    yield workers()
    yield beat()
    for examine in others:
        yield from examine()
    yield from _servers()


def _servers(*, with_history: bool = True) -> Iterator[Finding]:
    """What each TabbyAPI says of itself, and the history of it."""
    for server in known.all_servers():
        yield from diagnosis.examined(server, with_history=with_history)


def readiness() -> dict[str, Finding]:
    """What a running Gantry needs, by name, without asking TabbyAPI: what the workers heard of it is in the database."""
    room = disk()
    if room.level == "warning":
        room = Finding("disk", "ok", room.title, room.detail)
    if (found := _database_answers()).level == "error":
        unknown = {"worker": "a worker", "tabbyapi": "TabbyAPI"}
        return {
            "database": found,
            "disk": room,
            "redis": redis_server(),
            **{name: _unknown(name, what) for name, what in unknown.items()},
        }
    alive = _unknown("worker", "a worker") if room.id == machine.DISK_FULL and _in_folder() else workers()
    return {
        "database": found,
        "disk": room,
        "redis": redis_server(),
        "worker": alive,
        "tabbyapi": _tabbyapi_as_known(),
    }


def _unknown(name: str, what: str) -> Finding:
    return Finding(name, "error", f"Whether {what} answers is not known", "The database would say it.")


# The machine ----------------------------------------------------------------------------------------------------


def disk() -> Finding:
    """Whether GANTRY_DATA_DIR can be written, is nobody else's to read, and has space left."""
    folder = Path(settings.DATA_DIR)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(PROBE)
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        level: Level = "error" if settings.DATA_DIR_NEEDED else "warning"
        if error.errno in FULL:
            name, what = (machine.DISK_FULL, ": messages cannot be saved") if _in_folder() else ("disk", "")
            hint = "Make room; Gantry goes on by itself."
            return Finding(name, level, f"The disk is full{what}", f"{folder}: {_words(error)}", hint)
        title = f"The data folder {folder} cannot be written by the user {data_folder.user()}"
        hint = "Let it belong to that user, or set GANTRY_DATA_DIR to another folder."
        return Finding("disk", level, title, _words(error), hint)
    left = f"{free / 1024**3:.1f} GB free in {folder}"
    if free < LITTLE_SPACE:
        level = "error" if free < HARDLY_SPACE else "warning"
        hint = "Make room: without it, messages cannot be saved."
        return Finding("disk", level, "Little space is left", left, hint)
    if open_to_others := [each.name for each in _private_files() if each.stat().st_mode & 0o077]:
        hint = f"Sessions and passwords' hashes are in there: chmod 700 {folder}"
        what = f"Others on this machine can read {', '.join(open_to_others)}"
        return Finding("disk", "warning", what, f"in {folder}", hint)
    return Finding("disk", "ok", "The data folder can be written", left)


def _in_folder() -> bool:
    """Whether the database is a file."""
    return bool(settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"] == "django.db.backends.sqlite3")


def _private_files() -> list[Path]:
    """The files that only Gantry's user may read, where its folder does not keep others out already."""
    folder = Path(settings.DATA_DIR)
    if not folder.stat().st_mode & 0o077:
        return []
    names = ("gantry.sqlite3", "gantry.sqlite3-wal", "secret.key", "admin-password")
    return [folder / name for name in names if (folder / name).exists()]


def database() -> Iterator[Finding]:
    """Whether the database answers, has all migrations, and an administrator."""
    found = _database_answers()
    yield found
    if found.level == "error":
        return
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in missing[:5])
        yield Finding(
            "migrations", "error", f"{len(missing)} migrations have not been applied", names,
            "Run `manage.py migrate` (`manage.py up` does it at its start).",
        )  # fmt: skip
        return
    yield Finding("migrations", "ok", "All migrations have been applied")
    if get_user_model().objects.filter(is_superuser=True, is_active=True).exists():
        yield Finding("accounts", "ok", "There is an administrator")
    else:
        yield Finding(
            "accounts", "error", "Nobody can administer this Gantry", "No active account is a superuser.",
            "Run `manage.py createsuperuser`.",
        )  # fmt: skip


def _database_answers() -> Finding:
    engine = settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"].rpartition(".")[2]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        hint = "Check that the database runs and that DATABASE_URL is right."
        return Finding("database", "error", f"The database ({engine}) does not answer", _words(error), hint)
    return Finding("database", "ok", f"The database answers ({engine})")


def redis_server() -> Finding:
    """Whether Redis answers, and takes what is written to it."""
    try:
        _redis(settings.REDIS_URL).set("gantry:probe", 1, ex=60)
    except redis.ResponseError as error:
        # The client takes the error's code away from those that it has a class for.
        code = {redis.exceptions.OutOfMemoryError: "OOM", redis.exceptions.ReadOnlyError: "READONLY"}.get(
            type(error), ""
        )
        words = f"{code} {_words(error)}".strip()
        hint = next(
            (says for name, says in REFUSALS.items() if words.startswith(name)), "Its log may say why."
        )
        return Finding(
            "redis",
            "error",
            REFUSED,
            words,
            f"{hint} Until then chats go on, and switches begin a little later.",
        )
    except (redis.RedisError, OSError) as error:
        hint = "Start Redis, or check REDIS_URL. Without it chats go on, but switches begin late and pages follow late."
        return Finding("redis", "error", "Redis does not answer", _words(error), hint)
    return Finding("redis", "ok", "Redis answers")


@cache
def _redis(url: str) -> redis.Redis:
    """The client, which keeps its connection: a web process asks every other second."""
    return redis.Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)


def clocks(*, with_database: bool = True) -> Iterator[Finding]:
    """Whether the clocks of this machine, Redis and the database agree: heartbeats are compared across machines."""
    apart: dict[str, float] = {}
    try:
        seconds, micro = _redis(settings.REDIS_URL).time()
        apart["Redis"] = seconds + micro / 1e6 - time.time()
    except (redis.RedisError, OSError):
        pass  # said elsewhere
    if with_database and connection.vendor == "postgresql":
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                apart["the database"] = float(cursor.fetchone()[0]) - time.time()
        except DatabaseError:
            pass  # said elsewhere
    for name, difference in apart.items():
        if abs(difference) > CLOCK_SECONDS:
            where = "ahead" if difference > 0 else "behind"
            yield Finding(
                "clock", "warning", f"The clock of {name} is {abs(difference):.0f} s {where}",
                "A living process on another machine may be taken for dead.", "Let all machines take the time from NTP.",
            )  # fmt: skip
            return
    if apart:
        yield Finding("clock", "ok", f"The clocks of {' and '.join(apart)} agree with this one")


# Gantry's other processes ---------------------------------------------------------------------------------------


def workers() -> Finding:
    """Whether a worker has shown that it is alive."""
    try:
        count = Worker.objects.filter(seen_at__gte=process.oldest_alive()).count()
        last = Worker.objects.order_by("-seen_at").first()
    except DatabaseError as error:
        return Finding("worker", "error", "Whether a worker is alive is not known", _words(error))
    if count:
        return Finding("worker", "ok", "A worker is alive" if count == 1 else f"{count} workers are alive")
    seen = f"The last one was seen {timesince(last.seen_at)} ago." if last else "None has ever been seen."
    hint = "Start one: `celery -A gantry_site worker` (`manage.py up` starts one). Until then switches wait."
    return Finding("worker", "error", "No worker is answering", seen, hint)


def beat() -> Finding:
    """Whether what is to be done regularly is done: the catalog is read every REFRESH_INTERVAL."""
    try:
        row = state_row.row(known.default())
        judged = row.unreachable_since is None and worker_heartbeats.a_worker_is_alive()
    except DatabaseError as error:
        return Finding("beat", "error", "Whether the regular tasks run is not known", _words(error))
    read_at = row.catalog_at
    late = timedelta(seconds=3 * settings.REFRESH_INTERVAL + 10)
    if not judged:
        return Finding(
            "beat", "ok", "Regular tasks are not judged while TabbyAPI or the workers do not answer"
        )
    if read_at is None or timezone.now() - read_at > late:
        seen = (
            f"The catalog was last read at {read_at:%Y-%m-%d %H:%M:%S %Z}."
            if read_at
            else "The catalog was never read."
        )
        hint = "Start Celery's beat, once: `celery -A gantry_site beat` (`manage.py up` starts it)."
        return Finding("beat", "error", "The regular tasks do not run", seen, hint)
    return Finding("beat", "ok", "The regular tasks run")


def _tabbyapi_as_known() -> Finding:
    row = state_row.row(known.default())
    if row.unreachable_since is not None:
        return Finding("tabbyapi", "error", "TabbyAPI does not answer", row.trouble, row.advice)
    if row.seen_at is None:
        return Finding("tabbyapi", "error", "TabbyAPI has not answered yet")
    if failed := next((each for each in row.findings if each["id"] == "health"), None):
        return Finding("tabbyapi", "error", failed["title"], failed["detail"], failed["hint"])
    return Finding(
        "tabbyapi", "ok", "TabbyAPI answers", f"{row.model} is loaded" if row.model else "no model is loaded"
    )


def _words(error: Exception) -> str:
    """The first line of an error's own words, without what a URL may carry."""
    words = str(error).strip().split("\n")[0][:300] or type(error).__name__
    for url in (settings.REDIS_URL, str(settings.DATABASES[DEFAULT_DB_ALIAS].get("PASSWORD") or "")):
        if url:
            words = words.replace(url, "•••")
    return words
