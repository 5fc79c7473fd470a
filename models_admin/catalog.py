"""TabbyAPI's list of models and what it has loaded, kept as rows.

Who asks TabbyAPI notes the Backend row's epoch first; an answer that was asked for before the last change, or that comes
while a switch is under way (all through a load TabbyAPI says that nothing is loaded), is not taken for the truth.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from models_admin import backend, differences, events, gate, loads, names, switching
from models_admin.models import Backend, Load, Source, Switch, TabbyModel
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import TabbyError
from models_admin.tabby.wire import ModelCard

log = logging.getLogger(__name__)

SETTLED = timedelta(seconds=10)  # longer than it takes to unload a model, while it is still named
BATCH = 500  # models that are written in one transaction


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found: names that are new or back, names that are gone, or why TabbyAPI could not be asked."""

    added: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    error: TabbyError | None = None


def stale() -> bool:
    """Whether the catalog is older than REFRESH_INTERVAL, or was never read."""
    read_at = backend.row().catalog_at
    return read_at is None or read_at < timezone.now() - timedelta(seconds=settings.REFRESH_INTERVAL)


def refresh(client: TabbyClient | None = None) -> Refreshed:
    """Ask TabbyAPI for its models and for what is loaded, and write both down; its troubles are written down too."""
    client = client or TabbyClient.from_settings()
    epoch = backend.row().epoch
    try:
        listed, card = client.models(), client.current()
        gone = _gone(client, listed)
    except TabbyError as error:
        log.warning("The catalog could not be read: %s", error)
        backend.set_trouble(error)
        events.backend_changed()
        return Refreshed(error=error)
    added = _write(listed, gone)
    observe(card, epoch)
    if added or gone:
        log.info("Catalog: %s new, %s gone", len(added), len(gone))
        events.catalog_changed()
    return Refreshed(added, gone)


def try_to_refresh(client: TabbyClient | None = None) -> Refreshed:
    """Refresh for somebody who only wants to read: a database that cannot be written is no reason to show nothing."""
    try:
        return refresh(client)
    except OperationalError as error:
        log.warning("The catalog could not be written (%s)", error)
        return Refreshed()


def look(client: TabbyClient | None = None) -> bool:
    """Ask TabbyAPI only what is loaded, and write it down; False if it could not be asked."""
    client = client or TabbyClient.from_settings()
    epoch = backend.row().epoch
    try:
        card = client.current()
    except TabbyError as error:
        backend.set_trouble(error)
        events.backend_changed()
        return False
    observe(card, epoch)
    return True


def _gone(client: TabbyClient, listed: list[str]) -> list[str]:
    """The models that are no longer there. To an API key TabbyAPI lists the loaded one only: that says nothing of others."""
    known = TabbyModel.objects.filter(vanished_at=None).values_list("name", flat=True)
    there = set(listed)
    missing = [name for name in known if name not in there]
    return missing if missing and client.permission() == "admin" else []


def _write(listed: list[str], gone: list[str]) -> list[str]:
    """Write down what there is and what is gone; return what is new, or back.

    A folder may hold many thousands of models, and the lock that orders admissions is not held meanwhile: it is written by
    the batch, each in a transaction of its own that waits for nobody.
    """
    now = timezone.now()
    known = dict(TabbyModel.objects.values_list("name", "vanished_at"))
    added = [name for name in listed if name not in known or known[name] is not None]
    for batch in _batches(name for name in listed if name not in known):
        TabbyModel.objects.bulk_create([_as_row(name) for name in batch], ignore_conflicts=True)
    for batch in _batches(listed):
        _mark(batch, last_seen=now, vanished_at=None)
    for batch in _batches(gone):
        _mark(batch, vanished_at=now)
    backend.set_catalog_read()
    return added


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    """The names in one order, whoever writes them, so that of two who do neither waits for the other in a circle."""
    ordered = sorted(set(names))
    return (ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH))


def _mark(names: list[str], **fields: Any) -> None:
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


def observe(card: ModelCard | None, epoch: int) -> None:
    """Take what TabbyAPI said is loaded for the truth, unless it was asked before the last change or in mid-switch.

    A model that differs from the one known, or that runs with other parameters, was loaded, unloaded or lost by somebody
    else: the history says so.
    """
    found = card.id if card else ""
    with transaction.atomic():
        row = backend.lock()
        if row.epoch != epoch or gate.closed():
            return
        first_look = row.seen_at is None
        unchanged = backend.runs(row, card) and not first_look
        if unchanged:
            _see_again(row, found)
        else:
            _take_over(row, card, first_look=first_look)
        if not found:
            lost = not unchanged and not loads.under_way().exists()
            backend.set_seen_empty(row, lost=lost)
    if not unchanged or row.unreachable_since is not None:
        events.backend_changed()
    if not found:
        _keep()


def _see_again(row: Backend, found: str) -> None:
    """Write that TabbyAPI answered, and that what is loaded is what the row says."""
    backend.set_reachable()
    if found and row.loaded_at and row.loaded_at < timezone.now() - SETTLED:
        loads.over(loads.under_way())  # whatever had waited would have begun by now
    if found:
        Backend.objects.filter(pk=row.pk).update(empty_since=None, anew=False, keep_due=False)


def _take_over(row: Backend, card: ModelCard | None, *, first_look: bool) -> None:
    """Write down a change that no switch under way has made."""
    load = loads.brought(card.id) if card else None
    if load is not None:
        _record_late(row, card, load)
    elif not first_look and (card or not loads.under_way().exists()):
        _record_outside(row, card)
    backend.set_loaded(card, load.options if load else None)
    if card:
        TabbyModel.objects.filter(name=card.id).update(last_loaded=timezone.now())


def _record_late(row: Backend, card: ModelCard | None, load: Load) -> None:
    """Write that a load that had been given up took effect after all: it is its switch that has changed the model."""
    asked = load.switch
    log.warning("Switch %s: its load of %s took effect after all", asked.pk, load.model)
    switching.record(
        source=Source.LATE,
        target=load.model,
        previous=row.model,
        options=load.options,
        cause=asked,
        requested_by=asked.requested_by,
        rule=asked.rule,
        **differences.columns(load.options, card),
    )
    Switch.objects.filter(pk=asked.pk).update(
        detail=f"{load.model[:150]} was loaded after all: TabbyAPI had gone on with it"
    )


def _record_outside(row: Backend, card: ModelCard | None) -> None:
    """Write into the history that somebody else changed what the row says is loaded."""
    found, shown = (card.id, card.parameters) if card else ("", {})
    how = differences.changes_in_words(row.parameters, shown) if found == row.model else ""
    log.warning(
        "TabbyAPI has %s loaded, not %s: changed from outside%s",
        found or "nothing", row.model or "nothing", f" ({how})" if how else "",
    )  # fmt: skip
    switching.record(
        source=Source.OUTSIDE,
        target=found,
        previous=row.model,
        detail=how[:255],
        **differences.columns({}, card),
    )


def _keep() -> None:
    """Have the model that is to be kept (KEEP_MODEL: a name, or “last”) loaded in a TabbyAPI that has lost its model.

    Only where it is empty for certain: a load of somebody else's would be undone by one that waits behind it.
    """
    with transaction.atomic():
        row = backend.lock()
        if not row.keep_due or not backend.vacant(row) or switching.active() is not None:
            return
        Backend.objects.filter(pk=row.pk).update(keep_due=False)
        name = backend.last_model() if settings.KEEP_MODEL == "last" else settings.KEEP_MODEL
        if not name:
            return
        try:
            switching.request(name, source=Source.KEEP, only_if_empty=True)
        except switching.Refused as refusal:
            log.warning("%s is to be kept loaded (KEEP_MODEL), but: %s", name, refusal)
