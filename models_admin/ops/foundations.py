"""Examines what Gantry runs on: its data folder, the database, Redis, and whether their clocks agree."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from models_admin import data_folder
from models_admin.model_files import looks
from models_admin.models import TabbyModel
from models_admin.servers import machine
from models_admin.servers.finding import Finding, Level

PATIENCE_SECONDS = 3.0  # for each answer of Redis
LOW_SPACE, CRITICAL_SPACE = 2 * 1024**3, 200 * 1024**2  # bytes
PROBE = b"\0" * 64 * 1024  # what a disk must take to count as one with room
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = "Redis answers but refuses writes"
# {Redis' code for a refused write: what to do}
REFUSALS = {
    "OOM": "It has reached its maxmemory: give it more, or empty it of what other programs keep there.",
    "READONLY": "REDIS_URL leads to a replica: let it lead to the primary.",
    "NOREPLICAS": "Fewer replicas are connected than its min-replicas-to-write asks for: bring them back, or lower that.",
    "MISCONF": "It cannot save its data: make room on its disk.",
}
CLOCK_SECONDS = 2.0


def disk() -> Finding:
    """Examine whether GANTRY_DATA_DIR can be written, is private, and has space left."""
    folder = Path(settings.DATA_DIR)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(PROBE)
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        level: Level = "error" if settings.DATA_DIR_NEEDED else "warning"
        if error.errno in FULL:
            name, what = (
                (machine.DISK_FULL, ": messages cannot be saved") if database_is_in_folder() else ("disk", "")
            )
            hint = "Make room; Gantry goes on by itself."
            return Finding(name, level, f"The disk is full{what}", f"{folder}: {words_of(error)}", hint)
        title = f"The data folder {folder} cannot be written by the user {data_folder.user()}"
        hint = "Let it belong to that user, or set GANTRY_DATA_DIR to another folder."
        return Finding("disk", level, title, words_of(error), hint)
    left = f"{free / 1024**3:.1f} GB free in {folder}"
    if free < LOW_SPACE:
        level = "error" if free < CRITICAL_SPACE else "warning"
        hint = "Make room: without it, messages cannot be saved."
        return Finding("disk", level, "Little space is left", left, hint)
    if open_to_others := [each.name for each in _private_files() if each.stat().st_mode & 0o077]:
        hint = f"Sessions and passwords' hashes are in there: chmod 700 {folder}"
        what = f"Others on this machine can read {', '.join(open_to_others)}"
        return Finding("disk", "warning", what, f"in {folder}", hint)
    return Finding("disk", "ok", "The data folder can be written", left)


def model_folder() -> Finding:
    """Examine whether MODELS_DIR, where it is set, can be read, and holds the models that TabbyAPI lists."""
    if not looks.configured():
        return Finding("models_dir", "ok", "MODELS_DIR is not set: models' files are not looked at")
    folder = Path(settings.MODELS_DIR)
    try:
        there = looks.within(PATIENCE_SECONDS, lambda: {each.name for each in os.scandir(folder)})
    except (OSError, looks.Silent) as error:
        why = words_of(error) if isinstance(error, OSError) else "Its disk does not answer"
        hint = "Until then switches go on without a look at the model's files. Mend it, or leave MODELS_DIR empty."
        return Finding(
            "models_dir", "warning", f"MODELS_DIR cannot be read by the user {data_folder.user()}", why, hint
        )
    try:
        listed = set(TabbyModel.objects.filter(vanished_at=None).values_list("name", flat=True))
    except DatabaseError:
        listed = set()  # another finding reports it
    if there and listed and not there & listed:
        hint = "Let MODELS_DIR be the folder that TabbyAPI has as its model_dir, as this machine sees it."
        detail = f"{folder} has none of the {len(listed)} models that TabbyAPI lists"
        return Finding("models_dir", "warning", "MODELS_DIR seems to be another folder", detail, hint)
    found = f"{len(there & listed)} of the {len(listed)} models that TabbyAPI lists are in {folder}"
    return Finding("models_dir", "ok", "MODELS_DIR can be read", found)


def database_is_in_folder() -> bool:
    """Whether the database is SQLite's file, which is in the data folder by default."""
    return bool(settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"] == "django.db.backends.sqlite3")


def _private_files() -> list[Path]:
    """Return the files that only Gantry's user should read; [] where the folder keeps others out already."""
    folder = Path(settings.DATA_DIR)
    if not folder.stat().st_mode & 0o077:
        return []
    names = ("gantry.sqlite3", "gantry.sqlite3-wal", "secret.key", "admin-password")
    return [folder / name for name in names if (folder / name).exists()]


def database() -> Iterator[Finding]:
    """Examine whether the database answers, has all migrations, and has an administrator."""
    found = database_answers()
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


def database_answers() -> Finding:
    """Examine whether the database answers a query."""
    engine = settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"].rpartition(".")[2]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        hint = "Check that the database runs and that DATABASE_URL is right."
        return Finding("database", "error", f"The database ({engine}) does not answer", words_of(error), hint)
    return Finding("database", "ok", f"The database answers ({engine})")


def redis_server() -> Finding:
    """Examine whether Redis answers, and takes a write."""
    try:
        _redis(settings.REDIS_URL).set("gantry:probe", 1, ex=60)
    except redis.ResponseError as error:
        # The client removes the code from errors that it has a class for.
        code = {redis.exceptions.OutOfMemoryError: "OOM", redis.exceptions.ReadOnlyError: "READONLY"}.get(
            type(error), ""
        )
        words = f"{code} {words_of(error)}".strip()
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
        return Finding("redis", "error", "Redis does not answer", words_of(error), hint)
    return Finding("redis", "ok", "Redis answers")


@cache
def _redis(url: str) -> redis.Redis:
    """Return the client, which keeps its connection: a web process asks every other second."""
    return redis.Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)


def clocks(*, with_database: bool = True) -> Iterator[Finding]:
    """Examine whether the clocks of this machine, Redis and PostgreSQL agree: heartbeats are compared across machines."""
    apart: dict[str, float] = {}
    try:
        seconds, micro = _redis(settings.REDIS_URL).time()
        apart["Redis"] = seconds + micro / 1e6 - time.time()
    except (redis.RedisError, OSError):
        pass  # another finding reports it
    if with_database and connection.vendor == "postgresql":
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                apart["the database"] = float(cursor.fetchone()[0]) - time.time()
        except DatabaseError:
            pass  # another finding reports it
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


def words_of(error: Exception) -> str:
    """Return the first line of an error's own words, without Redis' address and the database's password."""
    words = str(error).strip().split("\n")[0][:300] or type(error).__name__
    for url in (settings.REDIS_URL, str(settings.DATABASES[DEFAULT_DB_ALIAS].get("PASSWORD") or "")):
        if url:
            words = words.replace(url, "•••")
    return words
