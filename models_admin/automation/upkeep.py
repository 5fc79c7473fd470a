"""What is done about what was seen of a TabbyAPI server: after each look, a model that is to be kept is loaded."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import OperationalError, transaction

from models_admin.models import Source
from models_admin.servers import diagnosis, state_row
from models_admin.switching import observation, transitions
from models_admin.switching.observation import Refreshed
from models_admin.tabby.client import TabbyClient

log = logging.getLogger(__name__)


def look_after(server: int) -> None:
    """See whether a TabbyAPI that was out of reach is back, or its engine has crashed."""
    row = state_row.row(server)
    busy = transitions.active(server) is not None
    lost = row.unreachable_since is not None and not busy
    if row.seen_at is None or (lost and look(server)):
        refresh(server)
    if row.unreachable_since is None and not busy and not diagnosis.look_at_health(server):
        look(server)  # it may be out of reach


def refresh(server: int, client: TabbyClient | None = None) -> Refreshed:
    """Ask a server for its models and for what is loaded, write both down, and do what follows."""
    found = observation.refresh(server, client)
    if found.error is None:
        keep(server)
    return found


def try_to_refresh(server: int, client: TabbyClient | None = None) -> Refreshed:
    """Refresh for somebody who only wants to read: a database that cannot be written is no reason to show nothing."""
    try:
        return refresh(server, client)
    except OperationalError as error:
        log.warning("The catalog could not be written (%s)", error)
        return Refreshed()


def look(server: int, client: TabbyClient | None = None) -> bool:
    """Ask a server only what is loaded, write it down, and do what follows; False if it could not be asked."""
    answered = observation.look(server, client)
    if answered:
        keep(server)
    return answered


def keep(server: int) -> None:
    """Have the model that is to be kept (KEEP_MODEL: a name, or “last”) loaded in a TabbyAPI that has lost its model.

    Only where it is empty for certain: a load of somebody else's would be undone by one that waits behind it.
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
