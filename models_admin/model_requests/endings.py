"""Ends requests for a model, each once, by a guarded UPDATE; also those that nobody answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_admin import events
from models_admin.models import ModelRequest, RequestState, TabbyModel
from models_admin.servers import known, state_row
from models_admin.switching import transitions

KEPT = timedelta(days=90)  # requests that have ended
# TabbyAPI's list may lack models for a while: its folder was not mounted, or it was asked with a lesser key.
GONE_AFTER = timedelta(minutes=10)


def end(which: Q, state: RequestState, **fields: Any) -> int:
    """End the open requests that match `which`, and write `fields`; return how many there were."""
    now = timezone.now()
    open_requests = ModelRequest.objects.filter(which, state=RequestState.OPEN)
    ended = open_requests.update(**{"state": state, "ended_at": now, "changed_at": now, **fields})
    if ended:
        transaction.on_commit(events.requests_changed)
    return ended


def loaded(name: str) -> None:
    """Grant the requests for a model, which is loaded. Call it in the transaction that writes that."""
    end(Q(target=name), RequestState.GRANTED)


def grant(name: str, **_: object) -> None:
    """Receive the signal state_row.model_loaded: call loaded()."""
    loaded(name)


def look_after() -> None:
    """Grant requests for what is loaded, end those for what has gone and those that are too old, delete what ended long ago.

    A request for the loaded model is open where a switch was about to take that model away. If the switch is then
    cancelled, nothing is loaded anew: that is seen here.
    """
    now = timezone.now()
    targets = set(ModelRequest.objects.filter(state=RequestState.OPEN).values_list("target", flat=True))
    if targets:
        for server in known.all_servers():
            model = state_row.stored(server).values_list("model", flat=True).first()
            if model in targets and transitions.active(server) is None:
                loaded(model)
        gone = TabbyModel.objects.filter(name__in=targets, vanished_at__lt=now - GONE_AFTER)
        if names := set(gone.values_list("name", flat=True)):
            end(Q(target__in=names), RequestState.GONE)
        end(Q(asked_at__lt=now - timedelta(days=settings.REQUEST_DAYS)), RequestState.EXPIRED)
    outdated = ModelRequest.objects.filter(ended_at__lt=now - KEPT)
    if outdated.exists():
        outdated.delete()
