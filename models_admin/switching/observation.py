"""Observes a TabbyAPI server: asks what it has, and writes that down.

Whoever asks notes the epoch of the server's row first. An answer that was asked for before the last change, or that comes
while a switch changes the model, is not believed: all through a load TabbyAPI says that nothing is loaded. This module does
nothing about what it saw; automation/upkeep.py does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from models_admin import events
from models_admin.models import Load, Server, Source, State, Switch, TabbyModel
from models_admin.servers import catalog, connections, differences, loads, state_row
from models_admin.switching import gate, transitions
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import TabbyError
from models_admin.tabby.wire import ModelCard

log = logging.getLogger(__name__)

SETTLED = timedelta(
    seconds=10
)  # longer than an unload takes, all through which TabbyAPI still names the model


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found: models that are new or back, models that have gone, or why TabbyAPI could not be asked."""

    added: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    error: TabbyError | None = None


def refresh(server: int, client: TabbyClient | None = None) -> Refreshed:
    """Ask a server for its models and for what is loaded, and write both down, or why it could not be asked."""
    client = client or connections.client(server)
    epoch = state_row.row(server).epoch
    try:
        listed, card = catalog.finished(server, client.models()), client.current()
        missing = catalog.gone(server, client, listed)
    except TabbyError as error:
        log.warning("The catalog could not be read: %s", error)
        state_row.set_trouble(server, error)
        events.backend_changed()
        return Refreshed(error=error)
    added, vanished = catalog.write(server, listed, missing)
    observe(server, card, epoch)
    if added or vanished:
        log.info("Catalog: %s new, %s gone", len(added), len(vanished))
        events.catalog_changed()
    return Refreshed(added, vanished)


def look(server: int, client: TabbyClient | None = None) -> bool:
    """Ask a server only what is loaded, and write it down; return False if it could not be asked."""
    client = client or connections.client(server)
    epoch = state_row.row(server).epoch
    try:
        card = client.current()
    except TabbyError as error:
        state_row.set_trouble(server, error)
        events.backend_changed()
        return False
    observe(server, card, epoch)
    return True


def observe(server: int, card: ModelCard | None, epoch: int) -> None:
    """Write what a server said is loaded, unless it was asked before the last change (`epoch`) or the gate is closed.

    Where the model or its parameters differ from the row, somebody else has changed them: that goes into the history.
    """
    found = card.id if card else ""
    with transaction.atomic():
        row = state_row.lock(server)
        if row.epoch != epoch or gate.closed(server):
            return
        first_look = row.seen_at is None
        unchanged = state_row.runs(row, card) and not first_look
        if unchanged:
            _confirm(row, found)
        else:
            _take_over(row, card, first_look=first_look)
        if not found:
            lost = not unchanged and not loads.under_way(server).exists()
            state_row.set_seen_empty(row, lost=lost)
    if not unchanged or row.unreachable_since is not None:
        events.backend_changed()


def _confirm(row: Server, found: str) -> None:
    """Write that TabbyAPI answered, and that what is loaded is what the row says."""
    state_row.set_reachable(row.pk)
    if found and row.loaded_at and row.loaded_at < timezone.now() - SETTLED:
        loads.mark_ended(loads.under_way(row.pk))  # whatever had waited would have begun by now
    if found:
        state_row.set_seen_again(row.pk)


def _take_over(row: Server, card: ModelCard | None, *, first_look: bool) -> None:
    """Write down a change that no switch under way has made."""
    load = loads.finished_late(row.pk, card.id) if card else None
    if load is not None:
        _record_late(row, card, load)
    elif card is None and (switch := _unload_given_up(row)):
        _credit(row, switch, "unloaded", row.model, target="")
    elif not first_look and (card or not loads.under_way(row.pk).exists()):
        _record_outside(row, card)
    state_row.set_loaded(row.pk, card, load.options if load else None)
    if card:
        TabbyModel.objects.filter(name=card.id).update(last_loaded=timezone.now())


def _record_late(row: Server, card: ModelCard | None, load: Load) -> None:
    """Write that a load that had been given up took effect after all: it is its switch that has changed the model."""
    columns = {"options": load.options, **differences.columns(load.options, card)}
    _credit(row, load.switch, "loaded", load.model, target=load.model, **columns)


def _unload_given_up(row: Server) -> Switch | None:
    """Return the last switch, where it told TabbyAPI to unload what the row names, and ended before TabbyAPI had done so."""
    last = Switch.objects.filter(server_id=row.pk).exclude(source=Source.ROLLBACK).first()
    if last is None or last.unload_sent is None or last.state == State.SUCCEEDED:
        return None
    loaded_again = last.attempts.filter(source=Source.ROLLBACK, state=State.SUCCEEDED).exists()
    return None if loaded_again else last


def _credit(row: Server, asked: Switch, what: str, model: str, **columns: Any) -> None:
    """Write that TabbyAPI has `loaded` or `unloaded` a model (`what`), as the switch `asked`, which had given that up."""
    log.warning("Switch %s: %s was %s after all", asked.pk, model, what)
    transitions.record(
        row.pk,
        source=Source.LATE,
        previous=row.model,
        cause=asked,
        requested_by=asked.requested_by,
        rule=asked.rule,
        **columns,
    )
    Switch.objects.filter(pk=asked.pk).update(
        detail=f"{model[:150]} was {what} after all: TabbyAPI had gone on with it"
    )


def _record_outside(row: Server, card: ModelCard | None) -> None:
    """Write into the history that somebody else changed what the row says is loaded."""
    found, shown = (card.id, card.parameters) if card else ("", {})
    how = differences.changes_in_words(row.parameters, shown) if found == row.model else ""
    log.warning(
        "TabbyAPI has %s loaded, not %s: changed from outside%s",
        found or "nothing", row.model or "nothing", f" ({how})" if how else "",
    )  # fmt: skip
    transitions.record(
        row.pk,
        source=Source.OUTSIDE,
        target=found,
        previous=row.model,
        detail=how[:255],
        **differences.columns({}, card),
    )
