"""Carries a download out, in a worker: holds TabbyAPI's request, and writes down once a second how far it is.

TabbyAPI deletes all again when its caller goes away, whether that was killed, cancelled or told to end. So one that is taken
up begins anew. Where the folder is there then, the one before is still being deleted, or had come to its end unheard.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from models_admin.adding import failures, handover, transitions
from models_admin.adding.progress import Meter
from models_admin.model_files import looks
from models_admin.models import DownloadState, ModelDownload
from models_admin.servers import connections
from models_admin.switching import observation
from models_admin.switching.ownership import Lost
from models_admin.tabby.download import HeldDownload
from models_admin.tabby.errors import InternalError, KeyRefused, TabbyError

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
GOING_SECONDS = 20.0  # in which TabbyAPI has deleted the folder of a request that was closed
DONE = {"error": "", "error_kind": "", "advice": ""}


class _Cancelled(Exception):
    """Somebody has cancelled it."""


def run(download_id: int) -> None:
    """Carry a download out to its end. Do nothing if it cannot be claimed: it has ended, or another worker has it."""
    download = transitions.claim(download_id)
    if download is None:
        return
    try:
        Run(download).to_the_end()
    except Lost:
        log.info("Download %s: no longer carried out here", download_id)


class Run:
    """One download, carried out by the worker that claimed it."""

    def __init__(self, download: ModelDownload) -> None:
        self.download = download
        self.access = connections.access(download.server_id)
        self.meter = Meter(download.folder)
        self.token = ""

    def to_the_end(self) -> None:
        """Hold the request until it is done; write how it ended, and have the model listed."""
        try:
            if self.download.with_token:
                self.token = handover.get(self.download.pk)
            self._bring()
        except handover.NoHandover as error:
            self._end(
                DownloadState.FAILED,
                error=f"{error}.",
                error_kind="token",
                advice="Ask for it anew, with the token.",
            )
        except _Cancelled:
            self._wait_until_gone()
            self._end(DownloadState.CANCELLED, bytes_done=None, bytes_total=None)
        except TabbyError as error:
            self._fail(error)
        except (Lost, DatabaseError, InterfaceError):
            raise  # another worker has it, or takes it up
        except Exception as error:
            log.exception("Download %s met an error of Gantry's own", self.download.pk)
            self._fail(InternalError(f"Gantry itself failed ({type(error).__name__})"))
        else:
            self._have_it_listed()
            self._end(DownloadState.DONE, **DONE)

    def _fail(self, error: TabbyError) -> None:
        failure = failures.read(self.download, error, self.token)
        log.warning("Download %s failed: %s", self.download.pk, failure.error)
        self._end(DownloadState.FAILED, **{each: getattr(failure, each) for each in DONE})

    def _bring(self) -> None:
        """Ask until TabbyAPI says that it is done. Raises TabbyError, _Cancelled and Lost."""
        again = self.download.sent_at is not None
        ends = time.monotonic() + GOING_SECONDS
        while True:
            try:
                return self._hold()
            except TabbyError as error:
                if not again or not failures.exists(error):
                    raise
                if time.monotonic() > ends:
                    return self._take_for_done(error)
            time.sleep(BEAT_SECONDS)

    def _hold(self) -> None:
        wanted = self.download
        body: dict[str, Any] = {
            "repo_id": wanted.repository, "repo_type": "model", "folder_name": wanted.folder,
            "include": wanted.include or ["*"],
        }  # fmt: skip
        body |= {"revision": wanted.revision} if wanted.revision else {}
        body |= {"token": self.token} if self.token else {}
        self._beat(sent_at=timezone.now())
        with HeldDownload(self.access, body) as held:
            while not held.wait(BEAT_SECONDS):
                self._beat(**self.meter.columns())
            held.check()

    def _beat(self, **columns: Any) -> None:
        """Write a heartbeat; a database that is away ends no download. Raises _Cancelled and Lost."""
        try:
            cancelled = transitions.write(self.download, **columns)
        except (DatabaseError, InterfaceError) as error:
            log.warning("Download %s: its heartbeat could not be written (%s)", self.download.pk, error)
            connection.close()
            return
        if cancelled:
            raise _Cancelled

    def _take_for_done(self, error: TabbyError) -> None:
        """Return where the folder that stays is whole: the worker before has not heard of the end. Else raise `error`."""
        if looks.configured():
            try:
                report = looks.look(self.download.folder)
            except looks.Silent:
                raise error from None
            if report.found and report.problems:
                raise error
        log.warning("Download %s was done when this worker took it up", self.download.pk)

    def _wait_until_gone(self) -> None:
        """Wait until TabbyAPI has deleted the folder, so that nobody takes it for a model."""
        ends = time.monotonic() + GOING_SECONDS
        with connections.client(self.download.server_id) as client:
            while time.monotonic() < ends:
                try:
                    if self.download.folder not in client.models():
                        return
                except KeyRefused:
                    return
                except TabbyError:
                    pass
                self._beat_only()
                time.sleep(0.2)

    def _beat_only(self) -> None:
        with suppress(_Cancelled):
            self._beat()

    def _end(self, state: DownloadState, **why: Any) -> None:
        """Write the end, as soon as the database takes it."""
        while True:
            try:
                return transitions.end(self.download, state, **why)
            except (DatabaseError, InterfaceError) as error:
                log.warning("Download %s: its end could not be written (%s)", self.download.pk, error)
                connection.close()
                time.sleep(BEAT_SECONDS)

    def _have_it_listed(self) -> None:
        """Have the model in the catalog, with what its files say, before anybody is told that it is there."""
        with suppress(_Cancelled):  # too late
            self._beat(**self.meter.columns(), finished_at=timezone.now())
        observation.refresh(self.download.server_id)
        if looks.configured():
            with suppress(looks.Silent):  # it is looked at later
                looks.keep(self.download.folder, looks.look(self.download.folder))
