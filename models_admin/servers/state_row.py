"""The row that says what a server runs: its lock, and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
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

# Sent with `name` in the transaction that says that this model is loaded, whoever had it loaded.
model_loaded = Signal()


def row(server: int) -> Server:
    """Return the row as it is, without a lock."""
    return Server.objects.get_or_create(pk=server)[0]


def lock(server: int) -> Server:
    """Return the row, locked until the end of the transaction that the caller is in."""
    return Server.objects.select_for_update().get_or_create(pk=server)[0]


def stored(server: int) -> QuerySet[Server]:
    """The row, or nothing where none has been written yet: for those who only look, or change what is there."""
    return Server.objects.filter(pk=server)


def set_loaded(
    server: int, card: ModelCard | None, options: Mapping[str, Any] | None = None, *, wanted: bool = False
) -> None:
    """Write what is loaded now (None: nothing). Call inside a transaction.

    `options` are those that the model was loaded with; `wanted` says that somebody chose this model. A model that was loaded
    all the time, with the same parameters, keeps its options and its time: the epoch counts changes.
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
    if wanted:
        known.wanted = card.id if card else ""
    if card and runs(known, card):
        changes = {
            "seen_at": now, "unreachable_since": None, "trouble": "", "advice": "", "parameters": dict(card.parameters),
            "empty_since": None, "anew": False, "keep_due": False,
        }  # fmt: skip
    else:
        known.epoch += 1
    for name, value in changes.items():
        setattr(known, name, value)
    known.save()
    if card:
        model_loaded.send(sender=None, name=card.id)


def runs(known: Server, card: ModelCard | None) -> bool:
    """Whether what the row says is loaded is what `card` shows (None: nothing): the same model, with the same parameters."""
    if card is None:
        return not known.model
    return known.model == card.id and not differences.changed(known.parameters, card.parameters)


def set_reachable(server: int) -> None:
    """Write that TabbyAPI answered just now."""
    known = row(server)
    stored(known.pk).update(seen_at=timezone.now(), unreachable_since=None, trouble="", advice="")


def set_findings(server: int, findings: list[Finding], *, about: str = "") -> bool:
    """Write what is wrong with TabbyAPI; whether that is news.

    With `about`, the id of a finding, all others stay as they are.
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
    """Write that TabbyAPI could not be asked, since when, and what it said; what is loaded stays as last seen."""
    with transaction.atomic():
        known = lock(server)
        loads.note(server, error)
        known.unreachable_since = known.unreachable_since or timezone.now()
        known.trouble, known.advice = str(error), error.advice
        known.anew = known.anew or loads.has_ended(error)
        known.empty_since = None
        known.save(update_fields=["unreachable_since", "trouble", "advice", "anew", "empty_since"])


def set_keep_due(server: int, due: bool = True) -> None:
    """Write that TabbyAPI may have lost a model that it had, and not by anybody's choice; or that this is dealt with."""
    stored(row(server).pk).update(keep_due=due)


def set_seen_again(server: int) -> None:
    """Write that TabbyAPI named the model just now that it is known to have."""
    stored(server).update(empty_since=None, anew=False, keep_due=False)


def set_seen_empty(before: Server, *, lost: bool) -> None:
    """Write that TabbyAPI said just now that nothing is loaded; `before` is the row before that, `lost`: it lost a model."""
    stored(before.pk).update(
        empty_since=before.empty_since or timezone.now(), anew=before.anew, keep_due=before.keep_due or lost
    )


def set_started(server: int) -> None:
    """Write that Gantry starts now: what TabbyAPI did meanwhile is not known."""
    stored(server).update(started_at=timezone.now(), empty_since=None, anew=False)


def last_model(server: int) -> str:
    """The model that was chosen last, or else the one that was loaded last; '' if there was none."""
    loaded = TabbyModel.objects.exclude(last_loaded=None).order_by("-last_loaded")
    return row(server).wanted or loaded.values_list("name", flat=True).first() or ""


def vacant(known: Server) -> bool:
    """Whether nothing is loaded nor being loaded in TabbyAPI, which says all through a load that nothing is loaded.

    That is so when it has started anew, or says so for longer than any load takes (KEEP_MODEL_AFTER).
    """
    if known.model or known.unreachable_since or not (known.seen_at and known.empty_since):
        return False
    return known.anew or known.seen_at - known.empty_since >= timedelta(seconds=settings.KEEP_MODEL_AFTER)
