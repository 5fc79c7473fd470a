"""The threads of each worker, which work from the database, whether or not Redis brings tasks.

Celery's tasks make things quicker: a switch begins at once instead of within some seconds. Four threads of the worker's
process write its heartbeat, carry out the switches and the downloads that nobody carries out, and run the regular tasks that
beat does not bring. Several workers may see the same switch: the claim, one guarded UPDATE, lets one of them have it.
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

from models_admin.adding import runner as download_runner
from models_admin.adding import transitions as downloads
from models_admin.servers import known, worker_heartbeats
from models_admin.switching import ownership, rollout, runner

log = logging.getLogger(__name__)

BEAT_SECONDS, LOOK_SECONDS = 2.0, 1.0
# A regular task is taken for missed after so many of its periods, and so many seconds at least: other workers get some.
PERIODS, LEAST_SECONDS = 3.0, 15.0
# How long stop() waits for switches that are about to end; another worker adopts the others.
FINISH_SECONDS = 3.0


class _Loop(threading.Thread):
    """A thread that runs `work` every few seconds until `ended` is set; an error is logged, and `work` is tried again."""

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
        self._announced = False
        self._running: dict[str, threading.Thread] = {}
        now = time.monotonic()
        self._last_came = dict.fromkeys(
            (each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()), now
        )
        self._without_beat: set[str] = set()
        self._loops = [
            _Loop("heartbeat", self._beat, BEAT_SECONDS),
            _Loop("look for switches", self._adopt_orphans, LOOK_SECONDS),
            _Loop("look for downloads", self._begin_downloads, LOOK_SECONDS),
            _Loop("look at regular tasks", self._run_missed_tasks, LOOK_SECONDS),
        ]

    def start(self) -> None:
        """Start the threads."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Stop the threads, and delete this worker's heartbeat."""
        for loop in self._loops[1:]:
            loop.ended.set()
        ends = time.monotonic() + FINISH_SECONDS
        for loop in self._loops[1:3]:
            loop.join(max(0.0, ends - time.monotonic()))  # from now on it takes up nothing
        downloads.release()
        for thread in [each for name, each in list(self._running.items()) if name.startswith("switch ")]:
            thread.join(max(0.0, ends - time.monotonic()))
        self._loops[0].ended.set()  # the heartbeat goes on until then
        self._loops[0].join(timeout=5)
        worker_heartbeats.leave()
        connection.close()

    def task_came(self, task: str) -> None:
        """Note that Celery brought the task of this name, if it is a regular one."""
        if task in self._last_came:
            self._last_came[task] = time.monotonic()
            self._without_beat.discard(task)

    def _beat(self) -> None:
        """Write the heartbeat. With the first, look_after is due at once, and in Gantry's first worker the catalog too."""
        if self._announced:
            worker_heartbeats.beat()
            return
        starts = worker_heartbeats.begin()
        self._announced = True
        self._last_came["models_admin.tasks.look_after"] = -math.inf
        if starts:
            self._last_came["models_admin.tasks.refresh_catalog"] = -math.inf

    def _adopt_orphans(self) -> None:
        """Carry out the switches that nobody carries out, and have a rollout go on whose switch has ended."""
        rollout.advance(rollout.running_id())
        for switch_id in [each for server in known.all_servers() for each in ownership.orphans(server)]:
            if self._spawn(f"switch {switch_id}", runner.run, switch_id):
                log.warning("Switch %s is carried out by nobody: this worker looks after it", switch_id)

    def _begin_downloads(self) -> None:
        """Carry out the downloads that nobody carries out. Each has a thread, for it may take hours."""
        for download_id in downloads.orphans():
            self._spawn(f"download {download_id}", download_runner.run, download_id)

    def _spawn(self, name: str, run: Callable[[int], None], row_id: int) -> bool:
        """Run `run(row_id)` in a thread of this name; return False where there is one already."""
        if name in self._running:
            return False
        thread = threading.Thread(target=self._carry_out, args=(name, run, row_id), name=name, daemon=True)
        self._running[name] = thread
        thread.start()
        return True

    def _carry_out(self, name: str, run: Callable[[int], None], row_id: int) -> None:
        try:
            run(row_id)
        except Exception as error:
            log.warning("%s could not be carried out (%s)", name.capitalize(), error, exc_info=error)
        finally:
            self._running.pop(name, None)
            connection.close()

    def _run_missed_tasks(self) -> None:
        """Run the regular tasks that Celery has not brought for a while, each period until it brings them again."""
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            name, period = entry["task"], float(entry["schedule"])
            patience = period if name in self._without_beat else max(PERIODS * period, LEAST_SECONDS)
            if time.monotonic() - self._last_came[name] > patience:
                self._last_came[name] = time.monotonic()
                self._without_beat.add(name)
                current_app.tasks[name]()


_loop: WorkerLoop | None = None


@signals.worker_init.connect
def start(**_: object) -> None:
    """Start the threads with the worker's process, whether or not Redis can be reached."""
    global _loop  # noqa: PLW0603 (one worker a process; Celery's signals start it)
    _loop = WorkerLoop()
    _loop.start()


@signals.task_prerun.connect
def note(sender: Any = None, **_: object) -> None:
    """Note that Celery brought a task."""
    if _loop is not None and sender is not None:
        _loop.task_came(sender.name)


@signals.worker_shutting_down.connect
def stop(**_: object) -> None:
    """Stop the threads with the process."""
    if _loop is not None:
        _loop.stop()
