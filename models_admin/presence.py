"""Which Celery workers are alive: each says so in the database every few seconds, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from celery import signals
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.utils import timezone

from models_admin import process
from models_admin.models import Worker

log = logging.getLogger(__name__)
INTERVAL = 2.0  # seconds


def a_worker_is_alive() -> bool:
    """Whether any worker showed itself within HEARTBEAT_TTL."""
    return Worker.objects.filter(seen_at__gte=process.oldest_alive()).exists()


def beat() -> None:
    """Say that this worker is alive, and forget those that have been silent for an hour."""
    with transaction.atomic():
        list(Worker.objects.select_for_update().filter(name=process.name()))
        # Behind the lock, which may have taken long: a time from before it would be old already.
        Worker.objects.update_or_create(name=process.name(), defaults={"seen_at": timezone.now()})
    Worker.objects.filter(seen_at__lt=timezone.now() - timedelta(hours=1)).delete()


def leave() -> None:
    """Say that this worker ends."""
    Worker.objects.filter(name=process.name()).delete()


class _Beats(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="presence", daemon=True)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(INTERVAL):
            close_old_connections()
            try:
                beat()
            except DatabaseError:
                log.exception("This worker could not show that it is alive; it tries again in %s s", INTERVAL)
        connection.close()


_beats: _Beats | None = None


@signals.worker_ready.connect
def start(**_: object) -> None:
    """Begin to beat, and take over what a dead worker has left. The first worker asks TabbyAPI what there is."""
    global _beats  # noqa: PLW0603 (one worker a process, told by signals)
    from models_admin import rules, tasks  # noqa: PLC0415 (tasks needs Celery's app to be ready)

    starts = rules.note_start()
    _beats = _Beats()
    _beats.start()
    tasks.look_after.delay()
    if starts:
        tasks.refresh_catalog.delay()


@signals.worker_shutting_down.connect
def stop(**_: object) -> None:
    """End the beating and take this worker's name off the list."""
    if _beats is not None:
        _beats.ended.set()
        _beats.join(timeout=5)
    leave()
    connection.close()
