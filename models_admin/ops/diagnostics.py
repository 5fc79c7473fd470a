"""Examines an installation: what is wrong, or may become so. For `manage.py doctor` and /readyz.

Each examination asks one thing. Its finding says what it saw, in the system's own words, and what to do. None changes
anything, waits for more than some seconds, or shows a key. They work while everything else is down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from django.utils.timesince import timesince

from models_admin import process
from models_admin.models import Server, Worker
from models_admin.ops.foundations import (
    clocks,
    database,
    database_answers,
    database_is_in_folder,
    disk,
    model_folder,
    redis_server,
    words_of,
)
from models_admin.servers import addresses, diagnosis, known, machine, team, worker_heartbeats
from models_admin.servers.finding import Finding

further_examinations: list[Callable[[], Iterator[Finding]]] = []  # of rooms above; they may read the database


def examine_all() -> Iterator[Finding]:
    """Make all examinations; yield at least one finding for each subject, also for what cannot be asked."""
    yield disk()
    of_database = list(database())
    yield from of_database
    yield redis_server()
    yield model_folder()
    if of_database[0].level == "error":  # each further examination of it would wait in vain
        yield from clocks(with_database=False)
        yield from (_unknown("worker", "a worker"), _unknown("beat", "beat"))
        yield from _servers(with_history=False)
        return
    yield from clocks()
    yield workers()
    yield beat()
    for examine in further_examinations:
        yield from examine()
    yield from _servers()


def _servers(*, with_history: bool = True) -> Iterator[Finding]:
    """Yield the findings on each TabbyAPI and on the history of its switches."""
    yield from of_settings()
    try:
        servers = known.all_servers()
    except DatabaseError as error:  # which has the rows of their names
        yield Finding("tabbyapi", "error", "Which servers there are is not known", words_of(error))
        return
    for server in servers:
        for found in diagnosis.examine(server, with_history=with_history):
            yield replace(found, title=f"{known.prefix(server)}{found.title}")


def of_settings() -> Iterator[Finding]:
    """Yield what is wrong with the names and keys of several servers."""
    hint = "Such as gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000; keys have the same names."
    for problem in addresses.problems():
        yield Finding("servers", "error", problem, "", hint)


def readiness() -> dict[str, Finding]:
    """Return the findings on database, disk, redis, worker and tabbyapi, by these names.

    TabbyAPI is not asked: what the workers last heard of it is in the database.
    """
    room = disk()
    if room.level == "warning":
        room = Finding("disk", "ok", room.title, room.detail)
    if (found := database_answers()).level == "error":
        unknown = {"worker": "a worker", "tabbyapi": "TabbyAPI"}
        return {
            "database": found,
            "disk": room,
            "redis": redis_server(),
            **{name: _unknown(name, what) for name, what in unknown.items()},
        }
    alive = (
        _unknown("worker", "a worker")
        if room.id == machine.DISK_FULL and database_is_in_folder()
        else workers()
    )
    return {
        "database": found,
        "disk": room,
        "redis": redis_server(),
        "worker": alive,
        "tabbyapi": _tabbyapi_as_known(),
    }


def _unknown(name: str, what: str) -> Finding:
    return Finding(name, "error", f"Whether {what} answers is not known", "The database would say it.")


def workers() -> Finding:
    """Examine whether a worker has a heartbeat within HEARTBEAT_TTL."""
    try:
        count = Worker.objects.filter(seen_at__gte=process.oldest_alive()).count()
        last = Worker.objects.order_by("-seen_at").first()
    except DatabaseError as error:
        return Finding("worker", "error", "Whether a worker is alive is not known", words_of(error))
    if count:
        return Finding("worker", "ok", "A worker is alive" if count == 1 else f"{count} workers are alive")
    seen = f"The last one was seen {timesince(last.seen_at)} ago." if last else "None has ever been seen."
    hint = "Start one: `celery -A gantry_site worker` (`manage.py up` starts one). Until then switches wait."
    return Finding("worker", "error", "No worker is answering", seen, hint)


def beat() -> Finding:
    """Examine whether the regular tasks run: the catalog is read every REFRESH_INTERVAL."""
    try:
        rows = [row for row in team.rows() if row.unreachable_since is None]
        judged = rows and worker_heartbeats.a_worker_is_alive()
    except DatabaseError as error:
        return Finding("beat", "error", "Whether the regular tasks run is not known", words_of(error))
    read_at = max((row.catalog_at for row in rows if row.catalog_at), default=None)
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
    """Examine, by what was last heard, whether TabbyAPI answers; of several servers, whether any can be given replies."""
    rows = team.rows()
    found = [_server_as_known(row) for row in rows]
    if not known.several():
        return found[0]
    titles = [
        f"{row.name}: {each.title}" for row, each in zip(rows, found, strict=True) if each.level != "ok"
    ]
    serving = [
        row.name for row, each in zip(rows, found, strict=True) if each.level == "ok" and not _is_out(row)
    ]
    titles += [f"{row.name} is out of service" for row in rows if _is_out(row)]
    if serving:
        answers = f"{', '.join(serving)} {'answer' if len(serving) > 1 else 'answers'}"
        return Finding("tabbyapi", "ok", ". ".join([answers, *titles]))
    worst = next((each for each in found if each.level != "ok"), found[0])
    return Finding("tabbyapi", "error", ". ".join(titles), worst.detail, worst.hint)


def _is_out(row: Server) -> bool:
    return row.out_of_service_since is not None


def _server_as_known(row: Server) -> Finding:
    if row.unreachable_since is not None:
        return Finding("tabbyapi", "error", "TabbyAPI does not answer", row.trouble, row.advice)
    if row.seen_at is None:
        return Finding("tabbyapi", "error", "TabbyAPI has not answered yet")
    if failed := next((each for each in row.findings if each["id"] == "health"), None):
        return Finding("tabbyapi", "error", failed["title"], failed["detail"], failed["hint"])
    return Finding(
        "tabbyapi", "ok", "TabbyAPI answers", f"{row.model} is loaded" if row.model else "no model is loaded"
    )
