"""What is done about what was seen of TabbyAPI: each look at it is followed by the loading of a model that is to be kept."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import OperationalError, transaction

from models_admin.models import Server, Source
from models_admin.servers import diagnosis, state_row
from models_admin.switching import observation, transitions
from models_admin.switching.observation import Refreshed
from models_admin.tabby.client import TabbyClient

log = logging.getLogger(__name__)


def look_after() -> None:
    """See whether an unreachable TabbyAPI is back, or its engine has crashed."""
    row = state_row.row()
    busy = transitions.active() is not None
    lost = row.unreachable_since is not None and not busy
    if row.seen_at is None or (lost and look()):
        refresh()
    if row.unreachable_since is None and not busy and not diagnosis.look_at_health():
        look()  # it may be out of reach


def refresh(client: TabbyClient | None = None) -> Refreshed:
    """Ask TabbyAPI for its models and for what is loaded, write both down, and do what follows."""
    found = observation.refresh(client)
    if found.error is None:
        keep()
    return found


def try_to_refresh(client: TabbyClient | None = None) -> Refreshed:
    """Refresh for somebody who only wants to read: a database that cannot be written is no reason to show nothing."""
    try:
        return refresh(client)
    except OperationalError as error:
        log.warning("The catalog could not be written (%s)", error)
        return Refreshed()


def look(client: TabbyClient | None = None) -> bool:
    """Ask TabbyAPI only what is loaded, write it down, and do what follows; False if it could not be asked."""
    answered = observation.look(client)
    if answered:
        keep()
    return answered


def keep() -> None:
    """Have the model that is to be kept (KEEP_MODEL: a name, or “last”) loaded in a TabbyAPI that has lost its model.

    Only where it is empty for certain: a load of somebody else's would be undone by one that waits behind it.
    """
    if not state_row.row().keep_due:
        return
    with transaction.atomic():
        row = state_row.lock()
        if not row.keep_due or not state_row.vacant(row) or transitions.active() is not None:
            return
        Server.objects.filter(pk=row.pk).update(keep_due=False)
        name = state_row.last_model() if settings.KEEP_MODEL == "last" else settings.KEEP_MODEL
        if not name:
            return
        try:
            transitions.request(name, source=Source.KEEP, only_if_empty=True)
        except transitions.SwitchRefused as refusal:
            log.warning("%s is to be kept loaded (KEEP_MODEL), but: %s", name, refusal)
