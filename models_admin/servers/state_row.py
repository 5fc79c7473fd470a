"""The one row that says what TabbyAPI runs: its lock, and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from models_admin.models import Server, TabbyModel
from models_admin.servers import differences, loads
from models_admin.tabby.errors import TabbyError
from models_admin.tabby.wire import ModelCard

# Sent with `name` in the transaction that says that this model is loaded, whoever had it loaded.
model_loaded = Signal()


def row() -> Server:
    """Return the row as it is, without a lock."""
    return Server.objects.get_or_create(pk=1)[0]


def lock() -> Server:
    """Return the row, locked until the end of the transaction that the caller is in."""
    return Server.objects.select_for_update().get_or_create(pk=1)[0]


def set_loaded(
    card: ModelCard | None, options: Mapping[str, Any] | None = None, *, wanted: bool = False
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
    server = lock()
    if wanted:
        server.wanted = card.id if card else ""
    if card and runs(server, card):
        changes = {
            "seen_at": now, "unreachable_since": None, "trouble": "", "advice": "", "parameters": dict(card.parameters),
            "empty_since": None, "anew": False, "keep_due": False,
        }  # fmt: skip
    else:
        server.epoch += 1
    for name, value in changes.items():
        setattr(server, name, value)
    server.save()
    if card:
        model_loaded.send(sender=None, name=card.id)


def runs(server: Server, card: ModelCard | None) -> bool:
    """Whether what the row says is loaded is what `card` shows (None: nothing): the same model, with the same parameters."""
    if card is None:
        return not server.model
    return server.model == card.id and not differences.changed(server.parameters, card.parameters)


def set_reachable() -> None:
    """Write that TabbyAPI answered just now."""
    server = row()
    Server.objects.filter(pk=server.pk).update(
        seen_at=timezone.now(), unreachable_since=None, trouble="", advice=""
    )


def set_findings(findings: list[dict[str, str]], *, about: str = "") -> bool:
    """Write what is wrong with TabbyAPI, shaped as finding.Finding.as_dict() says; whether that is news.

    With `about`, the id of a finding, all others stay as they are.
    """

    def all_of(server: Server) -> list[dict[str, str]]:
        return [*findings, *(each for each in server.findings if about and each["id"] != about)]

    if all_of(known := row()) == known.findings:
        return False
    with transaction.atomic():
        server = lock()
        server.findings = all_of(server)
        server.save(update_fields=["findings"])
    return True


def set_catalog_read() -> None:
    """Write that the catalog was read just now."""
    Server.objects.filter(pk=row().pk).update(catalog_at=timezone.now())


def set_trouble(error: TabbyError) -> None:
    """Write that TabbyAPI could not be asked, since when, and what it said; what is loaded stays as last seen."""
    with transaction.atomic():
        server = lock()
        loads.note(error)
        server.unreachable_since = server.unreachable_since or timezone.now()
        server.trouble, server.advice = str(error), error.advice
        server.anew = server.anew or loads.has_ended(error)
        server.empty_since = None
        server.save(update_fields=["unreachable_since", "trouble", "advice", "anew", "empty_since"])


def set_keep_due() -> None:
    """Write that TabbyAPI may have lost a model that it had, and not by anybody's choice."""
    Server.objects.filter(pk=row().pk).update(keep_due=True)


def set_seen_empty(before: Server, *, lost: bool) -> None:
    """Write that TabbyAPI said just now that nothing is loaded; `before` is the row before that, `lost`: it lost a model."""
    Server.objects.filter(pk=before.pk).update(
        empty_since=before.empty_since or timezone.now(), anew=before.anew, keep_due=before.keep_due or lost
    )


def last_model() -> str:
    """The model that was chosen last, or else the one that was loaded last; '' if there was none."""
    loaded = TabbyModel.objects.exclude(last_loaded=None).order_by("-last_loaded")
    return row().wanted or loaded.values_list("name", flat=True).first() or ""


def vacant(server: Server) -> bool:
    """Whether nothing is loaded nor being loaded in TabbyAPI, which says all through a load that nothing is loaded.

    That is so when it has started anew, or says so for longer than any load takes (KEEP_MODEL_AFTER).
    """
    if server.model or server.unreachable_since or not (server.seen_at and server.empty_since):
        return False
    return server.anew or server.seen_at - server.empty_since >= timedelta(seconds=settings.KEEP_MODEL_AFTER)
