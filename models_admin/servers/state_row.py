"""The row that says what a server runs: its lock, and each change of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.utils import timezone

from models_admin.models import Server, TabbyModel
from models_admin.page_schema import Finding
from models_admin.servers import differences, loads
from models_admin.tabby.errors import TabbyError
from models_admin.tabby.wire import ModelCard

# For which one of several servers that is back is given no replies, if any other may be: twice as long for each loss that
# came within FORGOTTEN_AFTER of the one before.
SETTLE_SECONDS, MOST_SETTLE_SECONDS = 3.0, 60.0
FORGOTTEN_AFTER = timedelta(minutes=10)
# Sent with `name` in the transaction that says that this model is loaded, whoever had it loaded.
model_loaded = Signal()


def row(server: int) -> Server:
    """Return the row as it is, without a lock."""
    return Server.objects.get_or_create(pk=server)[0]


def lock(server: int) -> Server:
    """Return the row, locked until the end of the transaction that the caller is in."""
    return Server.objects.select_for_update().get_or_create(pk=server)[0]


def stored(server: int) -> QuerySet[Server]:
    """Return a query for the row, which may be empty: for those who only read, or update what is there."""
    return Server.objects.filter(pk=server)


def set_loaded(
    server: int, card: ModelCard | None, options: Mapping[str, Any] | None = None, *, chosen_by: int = 0
) -> None:
    """Write what is loaded now (None: nothing), and send `model_loaded` for a model. Call inside a transaction.

    `options` are those that the model was loaded with; `chosen_by` is the number of the switch by which somebody
    chose this model, or that none be loaded.
    A model that the row names already, with the same parameters, keeps its options and its time, and the epoch stays.
    """
    now = timezone.now()
    changes: dict[str, Any] = {
        "model": card.id if card else "",
        "parameters": dict(card.parameters) if card else {},
        "options": dict(options or {}),
        "differences": differences.found(options or {}, card),
        "loaded_at": now if card else None,
        "seen_at": now,
        "unreachable_since": None,
        "trouble": "",
        "advice": "",
        "empty_since": None if card else now,
        "anew": False,
        "keep_due": False,
    }
    known = lock(server)
    changes |= _back(known)
    if chosen_by:
        known.wanted, known.chosen_by = card.id if card else "", chosen_by
    if card and runs(known, card):
        changes = {
            "seen_at": now, "unreachable_since": None, "trouble": "", "advice": "", "parameters": dict(card.parameters),
            "empty_since": None, "anew": False, "keep_due": False, **_back(known),
        }  # fmt: skip
    else:
        known.epoch += 1
    for name, value in changes.items():
        setattr(known, name, value)
    known.save()
    if card:
        model_loaded.send(sender=None, name=card.id)


def runs(known: Server, card: ModelCard | None) -> bool:
    """Whether the row says the same as `card` (None: nothing loaded): the model, and the parameters that both show."""
    if card is None:
        return not known.model
    return known.model == card.id and not differences.changed(known.parameters, card.parameters)


def set_reachable(server: int) -> None:
    """Write that TabbyAPI answered just now."""
    known = row(server)
    back = _back(known)
    stored(known.pk).update(seen_at=timezone.now(), unreachable_since=None, trouble="", advice="", **back)


def _back(known: Server) -> dict[str, Any]:
    """Return the columns of a server that is back, where it was out of reach: the oftener it was, the longer it settles."""
    if known.unreachable_since is None:
        return {}
    seconds = min(SETTLE_SECONDS * 2 ** min(max(known.losses, 1) - 1, 10), MOST_SETTLE_SECONDS)
    return {"settles_until": timezone.now() + timedelta(seconds=seconds)}


def set_findings(server: int, findings: list[Finding], *, about: str = "") -> bool:
    """Write what is wrong with TabbyAPI; return whether anything has changed.

    With `about`, the id of a finding, only that one is replaced, by `findings`.
    """

    def all_of(known: Server) -> list[Finding]:
        return [*findings, *(each for each in known.findings if about and each["id"] != about)]

    if all_of(known := row(server)) == known.findings:
        return False
    with transaction.atomic():
        known = lock(server)
        known.findings = all_of(known)
        known.save(update_fields=["findings"])
    return True


def set_catalog_read(server: int) -> None:
    """Write that the catalog was read just now."""
    stored(row(server).pk).update(catalog_at=timezone.now())


def set_trouble(server: int, error: TabbyError) -> None:
    """Write that TabbyAPI could not be asked, since when, and why; what is loaded stays as last seen."""
    with transaction.atomic():
        known = lock(server)
        loads.end_if_stopped(server, error)
        if known.unreachable_since is None:
            now = timezone.now()
            again = known.lost_at is not None and now - known.lost_at < FORGOTTEN_AFTER
            known.losses, known.lost_at, known.unreachable_since = (
                min(known.losses if again else 0, 99) + 1,
                now,
                now,
            )
        known.trouble, known.advice = str(error), error.advice
        known.anew = known.anew or loads.shows_stopped(error)
        known.empty_since = None
        fields = ["unreachable_since", "trouble", "advice", "anew", "empty_since", "lost_at", "losses"]
        known.save(update_fields=fields)


def set_keep_due(server: int, due: bool = True) -> None:
    """Write that KEEP_MODEL is `due` to be loaded, because TabbyAPI may have lost its model; or that this is done."""
    stored(row(server).pk).update(keep_due=due)


def set_seen_again(server: int) -> None:
    """Write that TabbyAPI has just named the model of the row."""
    stored(server).update(empty_since=None, anew=False, keep_due=False)


def set_seen_empty(before: Server, *, lost: bool) -> None:
    """Write that TabbyAPI has just said that nothing is loaded.

    `before` is the row as it was before that; `lost` says that TabbyAPI has lost a model.
    """
    stored(before.pk).update(
        empty_since=before.empty_since or timezone.now(), anew=before.anew, keep_due=before.keep_due or lost
    )


def set_started(server: int, now: datetime) -> None:
    """Write that Gantry starts now: it is not known what TabbyAPI has done meanwhile."""
    stored(server).update(started_at=now, empty_since=None, anew=False)


def set_out_of_service(server: int, since: datetime | None) -> bool:
    """Write that a server is out of service `since` then (None: that it is in service); return whether that is a change."""
    changed = stored(row(server).pk).filter(out_of_service_since__isnull=since is not None)
    return changed.update(out_of_service_since=since) == 1


def last_model(server: int) -> str:
    """Return the model that was chosen last, or else the one that was loaded last; '' if there was none."""
    loaded = TabbyModel.objects.exclude(last_loaded=None).order_by("-last_loaded")
    return row(server).wanted or loaded.values_list("name", flat=True).first() or ""


def vacant(known: Server) -> bool:
    """Whether no model is loaded in TabbyAPI, and none is being loaded there.

    All through a load TabbyAPI says that nothing is loaded. So this is certain only where it has started anew, or has said
    so for longer than any load takes (KEEP_MODEL_AFTER).
    """
    if known.model or known.unreachable_since or not (known.seen_at and known.empty_since):
        return False
    return known.anew or known.seen_at - known.empty_since >= timedelta(seconds=settings.KEEP_MODEL_AFTER)
