"""Moves a download from state to state: it is asked for, claimed, its end; cancelling.

As with switches, each transition is one guarded UPDATE, and whoever changes no row has lost the race.

    queued → downloading → done | failed | cancelled
    queued → cancelled                       (at once)
    downloading → queued                     (its worker ends)
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from models_admin import events, process
from models_admin.adding import handover
from models_admin.models import DOWNLOADS_OPEN, DownloadState, ModelDownload, Source
from models_admin.servers import presence, state_row
from models_admin.switching.ownership import OWNER_GRACE_SECONDS, Lost
from models_admin.tabby.wire import usable_name
from models_admin.visible import printable

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

log = logging.getLogger(__name__)

REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}", re.ASCII)
FOLDER = re.compile(r"[^\s.][^\r\n\t]{0,199}")
PATTERN = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
TOKEN = re.compile(r"[\x21-\x7e]{1,500}")
MOST_PATTERNS = 50


class AddRefused(Exception):
    """A download was not begun, or not cancelled; str() is a sentence for the person who asked."""


class FolderTaken(AddRefused):
    """There is such a model already, or it is being downloaded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be downloaded: `folder` '' is the repository's own name; `include` has patterns such as “*.json”."""

    repository: str
    folder: str = ""
    revision: str = ""
    include: Sequence[str] = ()


def request(
    server: int,
    wanted: Wanted,
    *,
    source: Source,
    user: AbstractBaseUser | AnonymousUser | None = None,
    token: str = "",
) -> ModelDownload:
    """Ask for a download, and return its row. Raises AddRefused; FolderTaken where there is such a model."""
    folder = wanted.folder or wanted.repository.rpartition("/")[2]
    _check(wanted, folder, token)
    if folder in presence.on(server):
        raise FolderTaken(f"There is a model {printable(folder)} already. Choose another folder.")
    state_row.row(server)
    try:
        with transaction.atomic():
            download = ModelDownload.objects.create(
                server_id=server,
                repository=wanted.repository,
                revision=wanted.revision,
                folder=folder,
                include=list(wanted.include),
                with_token=bool(token),
                source=source,
                requested_by_id=getattr(user, "pk", None),
            )
            if token:
                handover.put(download.pk, token)
    except IntegrityError:
        raise FolderTaken(f"{printable(folder)} is being downloaded already.") from None
    except handover.NoHandover as error:
        raise AddRefused(str(error)) from None
    log.info("Download %s: %s asked for %s into %s", download.pk, source, wanted.repository, folder)
    return download


def _check(wanted: Wanted, folder: str, token: str) -> None:
    """Raise AddRefused for what TabbyAPI or its hub would not take, or would take amiss."""
    if not REPOSITORY.fullmatch(wanted.repository):
        raise AddRefused(
            f"“{printable(wanted.repository)}” is no repository: it must be such as turboderp/Qwen3-8B-exl3."
        )
    if wanted.revision and (not REVISION.fullmatch(wanted.revision) or ".." in wanted.revision):
        raise AddRefused(
            f"“{printable(wanted.revision)}” is no revision: it must be a branch, a tag or a commit."
        )
    if not usable_name(folder) or not FOLDER.fullmatch(folder) or folder.endswith((" ", ".")):
        raise AddRefused(
            f"“{printable(folder)}” cannot be the name of a folder: it must be one name, without a path, that does not "
            "begin with a dot."
        )
    if len(wanted.include) > MOST_PATTERNS or not all(PATTERN.fullmatch(each) for each in wanted.include):
        raise AddRefused(
            f"Files are included by up to {MOST_PATTERNS} patterns, such as *.safetensors or *.json."
        )
    if token and not TOKEN.fullmatch(token):
        raise AddRefused("The token has characters that no token can have.")


def cancel(download: ModelDownload, *, user: AbstractBaseUser | AnonymousUser | None) -> None:
    """Cancel a download: at once while it is queued, else when its worker has closed the request. Raises AddRefused."""
    now, why = timezone.now(), f"Cancelled by {getattr(user, 'username', '') or 'somebody'}."
    told = {"cancel_requested": now, "error": why, "error_kind": "cancelled"}
    queued = ModelDownload.objects.filter(pk=download.pk, state=DownloadState.QUEUED, owner="")
    if queued.update(state=DownloadState.CANCELLED, finished_at=now, **told):
        handover.drop(download.pk)
    elif not ModelDownload.objects.filter(pk=download.pk, state__in=DOWNLOADS_OPEN).update(**told):
        raise AddRefused("This download has ended: there is nothing to cancel.")
    log.info("Download %s: %s", download.pk, why)


def claim(download_id: int) -> ModelDownload | None:
    """Become the owner of a download that has none, or whose owner is dead; None if neither is so."""
    free = Q(owner="", state=DownloadState.QUEUED)
    stale = ModelDownload.objects.filter(_stale(), pk=download_id).exclude(owner="").first()
    if stale is not None:
        with transaction.atomic():  # an old heartbeat alone proves no death: see switching/ownership.py
            ModelDownload.objects.select_for_update().filter(pk=download_id).first()
        time.sleep(OWNER_GRACE_SECONDS)
        free |= Q(owner=stale.owner, heartbeat=stale.heartbeat, state__in=DOWNLOADS_OPEN)
    now = timezone.now()
    changed = ModelDownload.objects.filter(free, pk=download_id).update(
        owner=f"{process.name()}.{secrets.token_hex(4)}", heartbeat=now, state=DownloadState.DOWNLOADING
    )
    if not changed:
        return None
    ModelDownload.objects.filter(pk=download_id, started_at=None).update(started_at=now)
    return ModelDownload.objects.get(pk=download_id)


def _stale() -> Q:
    return Q(heartbeat__lt=process.oldest_alive(), state__in=DOWNLOADS_OPEN)


def orphans() -> list[int]:
    """Return the ids of the downloads that nobody carries out."""
    queued = Q(state=DownloadState.QUEUED, owner="")
    return list(ModelDownload.objects.filter(queued | _stale()).values_list("pk", flat=True))


def release() -> None:
    """Give the downloads of this process, which ends, back: another worker begins them again."""
    mine = ModelDownload.objects.filter(
        owner__startswith=f"{process.name()}.", state=DownloadState.DOWNLOADING
    )
    mine.update(state=DownloadState.QUEUED, owner="", bytes_done=None, bytes_per_second=None)


def write(download: ModelDownload, **columns: Any) -> bool:
    """Write a heartbeat and columns of the owner; return whether somebody wants to cancel. Raises Lost."""
    mine = ModelDownload.objects.filter(pk=download.pk, owner=download.owner, state=DownloadState.DOWNLOADING)
    if mine.update(heartbeat=timezone.now(), **columns) != 1:
        raise Lost
    return mine.filter(cancel_requested__isnull=False).exists()


def end(download: ModelDownload, state: DownloadState, **why: Any) -> None:
    """End a download as its owner; raises Lost."""
    write(download, **{**why, "state": state, "finished_at": timezone.now(), "bytes_per_second": None})
    handover.drop(download.pk)
    log.info("Download %s: %s", download.pk, state)
    events.catalog_changed()
