"""The catalog: TabbyAPI's list of models, kept as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_admin.downloads import batches
from models_admin.models import DOWNLOADS_OPEN, ModelDownload, TabbyModel
from models_admin.servers import known, names, presence, state_row
from models_admin.tabby.client import TabbyClient

BATCH = 500  # models that are written in one transaction


def stale(server: int) -> bool:
    """Whether the catalog is older than REFRESH_INTERVAL, or was never read."""
    read_at = state_row.row(server).catalog_at
    return read_at is None or read_at < timezone.now() - timedelta(seconds=settings.REFRESH_INTERVAL)


def finished(server: int, listed: list[str]) -> list[str]:
    """Return `listed`, TabbyAPI's list, without the folders that a download is still filling."""
    growing = ModelDownload.objects.filter(server_id=server, state__in=DOWNLOADS_OPEN, finished_at=None)
    unfinished = set(growing.values_list("folder", flat=True))
    return [name for name in listed if name not in unfinished]


def gone(server: int, client: TabbyClient, listed: list[str]) -> list[str]:
    """Return the models that this server had, by the catalog, and that are not in `listed`, TabbyAPI's list.

    None has gone where the key is an API key: to that, TabbyAPI lists the loaded model only. Raises TabbyError.
    """
    there = set(listed)
    missing = [name for name in presence.on(server) if name not in there]
    return missing if missing and client.permission() == "admin" else []


def write(server: int, listed: list[str], gone: list[str]) -> tuple[list[str], list[str]]:
    """Write which models are `listed` by a server and which are `gone` from there.

    Return those that are new, or back, and those that have vanished: no server has them.

    A folder may hold many thousands of models. So each batch is written in a transaction of its own, and the lock that
    orders admissions is not held meanwhile.
    """
    now = timezone.now()
    rows = dict(TabbyModel.objects.values_list("name", "vanished_at"))
    added = [name for name in listed if name not in rows or rows[name] is not None]
    if known.several():
        for batch in _batches(listed):
            presence.mark(server, batch, now)
        for batch in _batches(gone):
            presence.mark_gone(server, batch, now)
        gone = [name for batch in _batches(gone) for name in presence.gone_everywhere(batch, but=server)]
    for batch in _batches(name for name in listed if name not in rows):
        TabbyModel.objects.bulk_create([_as_row(name) for name in batch], ignore_conflicts=True)
    for batch in _batches(listed):
        _mark(batch, last_seen=now, vanished_at=None)
    for batch in _batches(gone):
        _mark(batch, vanished_at=now)
    state_row.set_catalog_read(server)
    return added, gone


def absent(name: str) -> TabbyModel:
    """Return a row, not saved yet, for a model that TabbyAPI does not have."""
    row = _as_row(name)
    row.vanished_at = timezone.now()
    return row


def _batches(names: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the names in lists, always in the same order, so that two processes that write do not deadlock."""
    return batches(sorted(set(names)), BATCH)


def _mark(names: Sequence[str], **fields: Any) -> None:
    with transaction.atomic():
        rows = TabbyModel.objects.filter(name__in=names).order_by("name").select_for_update()
        TabbyModel.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(**fields)


def _as_row(name: str) -> TabbyModel:
    facts = names.read(name)
    return TabbyModel(
        name=name,
        parameters_b=facts.parameters_b,
        quantization=facts.quantization,
        bits=facts.bits,
        family=facts.family,
        tags=names.suggested_tags(name),
    )
