"""The heartbeat of a running switch: a thread writes heartbeats and progress, and ends a load that takes too long."""

from __future__ import annotations

import logging
import threading
import time
from contextvars import copy_context
from types import TracebackType
from typing import Self

from django.db import DatabaseError, InterfaceError, connection

from models_admin import events
from models_admin.models import Switch
from models_admin.switching import ownership
from models_admin.tabby.client import LoadStream
from models_admin.tabby.errors import TimedOut

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
EVENT_SECONDS = 0.1  # at most about ten progress events a second; the last one is always sent


class Heartbeat:
    """Runs beside the thread that carries `switch` out, which calls all public methods."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._wake = threading.Condition()
        self._progress: dict[str, object] = {}
        self._writing = threading.Lock()
        self._stream: LoadStream | None = None
        self._limits = (0.0, 0.0)
        self._ended = False
        self._lost = False
        in_this_context = copy_context().run  # its log lines say for which switch
        self._thread = threading.Thread(
            target=in_this_context, args=(self._run,), name=f"heartbeat of switch {switch.pk}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join()

    def show(self, percent: int, detail: str) -> None:
        """Have the progress written and shown within EVENT_SECONDS or so; only the newest counts."""
        with self._wake:
            self._progress = {"percent": percent, "detail": detail}
            self._wake.notify()

    def clear(self) -> None:
        """Drop progress that is not written yet: the step that it belongs to is over. Waits for what is being written."""
        with self._wake:
            self._progress = {}
        with self._writing:
            pass

    def watch(self, stream: LoadStream | None, silence: float = 0.0, deadline: float = 0.0) -> None:
        """Have `stream` aborted after `silence` seconds without an event, or at `deadline` (time.monotonic()).

        None: no stream is watched any more.
        """
        with self._wake:
            self._stream, self._limits = stream, (silence, deadline)

    def check(self) -> None:
        """Raise Lost if this process owns the switch no more."""
        if self._lost or not ownership.beat(self._switch):
            raise ownership.Lost

    def _run(self) -> None:
        try:
            last_beat = last_event = 0.0
            while not self._ended:
                with self._wake:
                    if not self._progress and not self._ended:
                        self._wake.wait(EVENT_SECONDS)
                self._abort_hung_stream()
                now = time.monotonic()
                with self._writing:
                    with self._wake:
                        progress, self._progress = self._progress, {}
                    if progress or now - last_beat >= BEAT_SECONDS:
                        self._beat(progress)
                        last_beat = now
                if progress:
                    events.backend_changed()
                    pause = EVENT_SECONDS - (now - last_event)
                    last_event = now
                    if pause > 0 and not self._ended:
                        time.sleep(min(pause, EVENT_SECONDS))
        finally:
            connection.close()

    def _beat(self, progress: dict[str, object]) -> None:
        try:
            if not ownership.beat(self._switch, **progress):
                self._lose()
        except (DatabaseError, InterfaceError):
            log.exception("Switch %s: its heartbeat could not be written", self._switch.pk)
            connection.close()  # a broken one is not mended by itself

    def _lose(self) -> None:
        self._lost = True
        if self._stream is not None:
            self._stream.abort(TimedOut("Another worker has taken this switch over"))

    def _abort_hung_stream(self) -> None:
        with self._wake:
            stream, (silence, deadline) = self._stream, self._limits
        if stream is None:
            return
        if stream.silence() > silence:
            stream.abort(TimedOut(f"TabbyAPI showed no progress for {silence:g} s (SWITCH_TIMEOUT)"))
        elif time.monotonic() > deadline:
            stream.abort(TimedOut("Loading took longer than SWITCH_MAX_SECONDS allows"))
