"""What each worker does by itself, whether Redis brings it tasks or not. The database says what is to be done.

Celery's tasks make it quicker: a switch begins at once instead of within some seconds. Three threads of the worker's
process show that it is alive, carry out the switches that nobody carries out, and do the regular tasks where beat's do
not come. Several workers may see the same switch: the claim, one guarded UPDATE, lets one of them have it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import current_app, signals
from django.conf import settings
from django.db import close_old_connections, connection

from models_admin.servers import known, worker_heartbeats
from models_admin.switching import ownership, runner

log = logging.getLogger(__name__)

BEAT_SECONDS, LOOK_SECONDS = 2.0, 1.0
# A regular task is taken for lost after so many of its periods, and so many seconds at least: other workers get some.
PERIODS, LEAST_SECONDS = 3.0, 15.0
# How long an end waits for switches that end just now; whatever is left undone is taken up by another worker.
FINISH_SECONDS = 3.0


class _Loop(threading.Thread):
    """Does `work` every few seconds until stopped; what goes wrong is tried again."""

    def __init__(self, name: str, work: Callable[[], None], seconds: float) -> None:
        super().__init__(name=name, daemon=True)
        self.work, self.seconds = work, seconds
        self.ended = threading.Event()

    def run(self) -> None:
        while True:
            close_old_connections()
            try:
                self.work()
            except Exception as error:
                log.warning("The worker's %s failed (%s): trying again", self.name, error, exc_info=error)
            if self.ended.wait(self.seconds):
                break
        connection.close()


class WorkerLoop:
    """The threads of one worker's process."""

    def __init__(self) -> None:
        self._shown = False
        self._at_work: dict[int, threading.Thread] = {}
        now = time.monotonic()
        self._came = dict.fromkeys((each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()), now)
        self._by_itself: set[str] = set()
        self._loops = [
            _Loop("heartbeat", self._show, BEAT_SECONDS),
            _Loop("look for switches", self._take_up, LOOK_SECONDS),
            _Loop("look at regular tasks", self._make_up, LOOK_SECONDS),
        ]

    def start(self) -> None:
        """Begin."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End, and take this worker's name off the list."""
        for loop in self._loops[1:]:
            loop.ended.set()
        ends = time.monotonic() + FINISH_SECONDS
        self._loops[1].join(FINISH_SECONDS)  # it begins no other
        for thread in list(self._at_work.values()):
            thread.join(max(0.0, ends - time.monotonic()))
        self._loops[0].ended.set()  # shown to be alive until then
        self._loops[0].join(timeout=5)
        worker_heartbeats.leave()
        connection.close()

    def came(self, task: str) -> None:
        """Note that Celery brought a regular task."""
        if task in self._came:
            self._came[task] = time.monotonic()
            self._by_itself.discard(task)

    def _show(self) -> None:
        """Say that this worker lives; at first also that it comes. The first of all asks TabbyAPI what there is."""
        if self._shown:
            worker_heartbeats.beat()
            return
        starts = worker_heartbeats.begin()
        self._shown = True
        self._came["models_admin.tasks.look_after"] = -math.inf
        if starts:
            self._came["models_admin.tasks.refresh_catalog"] = -math.inf

    def _take_up(self) -> None:
        """Carry out the switches that nobody carries out."""
        orphans = [each for server in known.all_servers() for each in ownership.orphans(server)]
        for switch_id in orphans:
            if switch_id not in self._at_work:
                name = f"switch {switch_id}"
                thread = threading.Thread(target=self._carry_out, args=(switch_id,), name=name, daemon=True)
                self._at_work[switch_id] = thread
                thread.start()

    def _carry_out(self, switch_id: int) -> None:
        try:
            log.warning("Switch %s is carried out by nobody: this worker looks after it", switch_id)
            runner.run(switch_id)
        except Exception as error:
            log.warning("Switch %s could not be carried out (%s)", switch_id, error, exc_info=error)
        finally:
            self._at_work.pop(switch_id, None)
            connection.close()

    def _make_up(self) -> None:
        """Do the regular tasks that Celery has not brought for a while, and go on with them until it brings them again."""
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            name, period = entry["task"], float(entry["schedule"])
            patience = period if name in self._by_itself else max(PERIODS * period, LEAST_SECONDS)
            if time.monotonic() - self._came[name] > patience:
                self._came[name] = time.monotonic()
                self._by_itself.add(name)
                current_app.tasks[name]()


_loop: WorkerLoop | None = None


@signals.worker_init.connect
def start(**_: object) -> None:
    """Begin with the process, whether Redis can be reached or not."""
    global _loop  # noqa: PLW0603 (one worker a process, told by signals)
    _loop = WorkerLoop()
    _loop.start()


@signals.task_prerun.connect
def note(sender: Any = None, **_: object) -> None:
    """Celery brought a task."""
    if _loop is not None and sender is not None:
        _loop.came(sender.name)


@signals.worker_shutting_down.connect
def stop(**_: object) -> None:
    """End with the process."""
    if _loop is not None:
        _loop.stop()
