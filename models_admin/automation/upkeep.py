"""Looks at a TabbyAPI server, and then has the model that is to be kept loaded, where TabbyAPI has lost it."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import OperationalError, transaction

from models_admin.models import Source
from models_admin.servers import diagnosis, known, state_row
from models_admin.switching import observation, transitions
from models_admin.switching.observation import Refreshed
from models_admin.tabby.client import TabbyClient

log = logging.getLogger(__name__)


def look_after(server: int) -> None:
    """Look whether a TabbyAPI that was out of reach is back, and whether its engine works."""
    row = state_row.row(server)
    busy = transitions.active(server) is not None
    lost = row.unreachable_since is not None and not busy
    if row.seen_at is None or (lost and look(server)):
        refresh(server)
    if row.unreachable_since is None and not busy and not diagnosis.look_at_health(server):
        look(server)  # it may be out of reach


def refresh(server: int, client: TabbyClient | None = None) -> Refreshed:
    """Ask a server for its models and for what is loaded, write both down, and keep() the model."""
    found = observation.refresh(server, client)
    if found.error is None:
        keep(server)
    return found


def refresh_all() -> Refreshed:
    """Refresh every server, one after the other; of several errors, the first is returned."""
    found = [refresh(server) for server in known.all_servers()]
    return Refreshed(
        list(dict.fromkeys(name for each in found for name in each.added)),
        list(dict.fromkeys(name for each in found for name in each.vanished)),
        next((each.error for each in found if each.error), None),
    )


def try_to_refresh(server: int, client: TabbyClient | None = None) -> Refreshed:
    """Refresh for somebody who only reads: where the database cannot be written, return that nothing was found."""
    try:
        return refresh(server, client)
    except OperationalError as error:
        log.warning("The catalog could not be written (%s)", error)
        return Refreshed()


def look(server: int, client: TabbyClient | None = None) -> bool:
    """Ask a server only what is loaded, write it down, and keep() the model; return False if it could not be asked."""
    answered = observation.look(server, client)
    if answered:
        keep(server)
    return answered


def keep(server: int) -> None:
    """Ask for a switch to the model of KEEP_MODEL (a name, or “last”) where TabbyAPI has lost its model.

    That is done only where it is certainly empty: a load that waits behind somebody else's would undo that one.
    """
    if not state_row.row(server).keep_due:
        return
    with transaction.atomic():
        row = state_row.lock(server)
        if not row.keep_due or not state_row.vacant(row) or transitions.active(server) is not None:
            return
        state_row.set_keep_due(server, False)
        name = state_row.last_model(server) if settings.KEEP_MODEL == "last" else settings.KEEP_MODEL
        if not name:
            return
        try:
            transitions.request(server, name, source=Source.KEEP, only_if_empty=True)
        except transitions.SwitchRefused as refusal:
            log.warning("%s is to be kept loaded (KEEP_MODEL), but: %s", name, refusal)
