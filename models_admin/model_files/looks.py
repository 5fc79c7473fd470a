"""Has a model's files looked at within a time limit, and keeps the report with the model.

A network's disk may hang, and nothing ends a call of the system that waits for it. So each look has a thread of its own, and
whoever asked goes on without it. A process has MOST_HANGING of these at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from models_admin.model_files.examining import examine
from models_admin.model_files.report import Report
from models_admin.models import TabbyModel

T = TypeVar("T")
log = logging.getLogger(__name__)

LOOK_SECONDS = 1.5
SLACK_SECONDS = 0.2  # for a look that ends by itself at its deadline
MOST_HANGING = 4
ANYWAY = "Where you know better, ask for it whatever its files look like (“force”)."
RENEW_AFTER = timedelta(minutes=5)  # a switch looks anew in any case

_hanging: set[threading.Thread] = set()


class Silent(Exception):
    """The disk of MODELS_DIR does not answer; str() is a sentence."""

    def __init__(self) -> None:
        super().__init__("Its files were not looked at: the disk of MODELS_DIR does not answer.")


def configured() -> bool:
    """Whether MODELS_DIR is set, so that files are looked at."""
    return bool(settings.MODELS_DIR)


def look(name: str, seconds: float = LOOK_SECONDS) -> Report:
    """Return the report on a model's files; raises Silent, after `seconds` and SLACK_SECONDS, where the disk hangs."""
    try:
        return within(seconds, lambda: examine(Path(settings.MODELS_DIR), name, time.monotonic() + seconds))
    except Silent:
        raise
    except Exception:
        log.exception("The files of %s could not be looked at", name)
        report = Report()
        report.unjudged("Its files were not looked at: Gantry itself failed on them, and its log says how.")
        return report


def within(seconds: float, ask: Callable[[], T]) -> T:
    """Return what `ask` returns, or raise its error; raises Silent where it goes on for SLACK_SECONDS after `seconds`."""
    for thread in [each for each in _hanging if not each.is_alive()]:
        _hanging.discard(thread)
    if len(_hanging) >= MOST_HANGING:
        raise Silent
    asked: Future[T] = Future()
    thread = threading.Thread(target=_ask, args=(asked, ask), name="look at files", daemon=True)
    thread.start()
    try:
        return asked.result(seconds + SLACK_SECONDS)
    except FutureTimeout:
        if asked.done():
            raise  # it is an error of its own
        _hanging.add(thread)
        log.warning("MODELS_DIR (%s) does not answer", settings.MODELS_DIR)
        raise Silent from None


def _ask(asked: Future[T], ask: Callable[[], T]) -> None:
    try:
        asked.set_result(ask())
    except BaseException as error:  # noqa: BLE001 (handed to whoever waits)
        asked.set_exception(error)


def keep(name: str, report: Report) -> None:
    """Write the report down with the model."""
    TabbyModel.objects.filter(name=name).update(files=report.as_dict(), files_at=timezone.now())


def refresh(seconds: float) -> None:
    """Look for `seconds` at the models in TabbyAPI whose report is missing or old, those first; keep what is found."""
    if not configured():
        return
    ends = time.monotonic() + seconds
    old = Q(files_at=None) | Q(files_at__lt=timezone.now() - RENEW_AFTER)
    due = TabbyModel.objects.filter(old, vanished_at=None).order_by(
        F("files_at").asc(nulls_first=True), "name"
    )
    try:
        for name in list(due.values_list("name", flat=True)[:1000]):
            if time.monotonic() > ends:
                return
            keep(name, look(name))
    except Silent:
        return
