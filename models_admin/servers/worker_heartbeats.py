"""The heartbeats of Celery workers: each writes one to the database every few seconds (ops/worker.py)."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from models_admin import process
from models_admin.models import Worker
from models_admin.servers import known, state_row


def a_worker_is_alive() -> bool:
    """Whether any worker has a heartbeat within HEARTBEAT_TTL."""
    return Worker.objects.filter(seen_at__gte=process.oldest_alive()).exists()


def beat() -> None:
    """Write this worker's heartbeat; delete the rows of those that have been silent for an hour."""
    with transaction.atomic():
        list(Worker.objects.select_for_update().filter(name=process.name()))
        # Behind the lock, which may have taken long: a time from before it would be old already.
        Worker.objects.update_or_create(name=process.name(), defaults={"seen_at": timezone.now()})
    Worker.objects.filter(seen_at__lt=timezone.now() - timedelta(hours=1)).delete()


def begin() -> bool:
    """Write this worker's first heartbeat; return whether Gantry starts with it: no other worker is alive."""
    with transaction.atomic():
        servers = known.all_servers()
        for server in servers:
            state_row.lock(server)
        starts = not a_worker_is_alive()
        now = timezone.now()
        if starts:
            for server in servers:
                state_row.set_started(server, now)
        beat()
    return starts


def leave() -> None:
    """Delete this worker's row: it ends."""
    Worker.objects.filter(name=process.name()).delete()
