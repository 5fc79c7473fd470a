"""Retires models: nobody is offered them or may load them any more. Their notes and history stay, and it can be undone.

TabbyAPI deletes no files; what is said here of them is for whoever does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_admin import events
from models_admin.model_files.report import Report, gigabytes
from models_admin.model_requests import endings
from models_admin.models import Alias, ModelRequest, RequestState, Rule, TabbyModel
from models_admin.servers import known, state_row
from models_admin.switching import transitions


class InUse(Exception):
    """A model that cannot be retired now; str() says why."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What names a model, and does nothing once it is retired."""

    aliases: list[str]
    rules: list[str]
    requests: int  # of people who wait for it
    kept: bool  # KEEP_MODEL names it


@dataclass(frozen=True, slots=True)
class Files:
    """Where a model's files are. `size` is in words, '' where it is not known; `command` deletes them in a POSIX shell."""

    place: str
    size: str
    command: str


def losses(name: str) -> Losses:
    """Return what the retirement of a model takes something from."""
    return Losses(
        aliases=[str(each) for each in Alias.objects.filter(model=name, retired_at=None)],
        rules=[str(each) for each in Rule.objects.filter(target=name, enabled=True)],
        requests=ModelRequest.objects.filter(target=name, state=RequestState.OPEN).count(),
        kept=name == settings.KEEP_MODEL,
    )


def files(row: TabbyModel) -> Files:
    """Return where the model's files are: below MODELS_DIR, or, where that is not set, in TabbyAPI's own folder."""
    report = Report.read(row.files)
    size = gigabytes(report.size) if report.size else ""
    if not settings.MODELS_DIR:
        return Files(
            f"{row.name} in TabbyAPI's model folder (model_dir in its config.yml)", size, _deletion(row.name)
        )
    place = str(Path(settings.MODELS_DIR).absolute() / row.name)
    return Files(place, size, _deletion(place))


def retire(name: str) -> None:
    """Retire a model, and end the requests for it; one that is retired stays so. Raises InUse."""
    with transaction.atomic():
        for server in known.all_servers():
            loaded, running = state_row.lock(server).model, transitions.active(server)
            if name == loaded:
                raise InUse(f"{known.prefix(server)}“{name}” is loaded. Switch to another model first.")
            if running is not None and name in (running.target, running.previous):
                raise InUse(
                    f"{known.prefix(server)}a switch from or to {name} is under way. Wait for its end."
                )
        if TabbyModel.objects.filter(name=name, retired_at=None).update(retired_at=timezone.now()):
            endings.end(Q(target=name), RequestState.GONE)
            transaction.on_commit(events.catalog_changed)


def restore(name: str) -> None:
    """Bring a retired model back, as it was; one that is not retired stays as it is."""
    if TabbyModel.objects.filter(name=name).exclude(retired_at=None).update(retired_at=None):
        transaction.on_commit(events.catalog_changed)


def _deletion(place: str) -> str:
    return f"rm -r -- {shlex.quote(place)}"
