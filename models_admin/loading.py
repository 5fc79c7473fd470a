"""Loading one model and being sure of it: progress as one rising percentage, broken connections joined again."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from models_admin.pulse import Pulse
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import (
    ChangedOutside,
    NothingThere,
    StreamCut,
    TabbyError,
    TimedOut,
    Unreachable,
)
from models_admin.tabby.wire import LoadProgress, ModelCard

log = logging.getLogger(__name__)

JOINS = 2  # how often a load whose connection broke is asked for again
KNOCK_SECONDS = 0.5  # between two tries to reach TabbyAPI


class Percentage:
    """TabbyAPI's phases as one percentage that never falls.

    Vision and draft models come before the model itself, if at all; nothing tells how many phases there will be. Each early
    phase has a small share at the start; the model's phase takes what is left.
    """

    SHARE = {"vision": 10, "draft": 25}

    def __init__(self) -> None:
        self.percent = 0
        self._phase = ""
        self._start = 0

    def add(self, progress: LoadProgress) -> int:
        """Return the percentage (0–100) after `progress`; 100 only when the model's own phase is finished."""
        if progress.phase != self._phase:
            self._phase, self._start = progress.phase, self.percent
        end = max(self._start, self.SHARE.get(progress.phase, 100))
        part = min(1.0, progress.module / progress.modules) if progress.modules else 0.0
        percent = int(self._start + (end - self._start) * part)
        if percent >= 100 and not progress.finished:
            percent = 99
        self.percent = max(self.percent, percent)
        return self.percent


class Loader:
    """Loads models for one running switch."""

    def __init__(self, client: TabbyClient, pulse: Pulse) -> None:
        self._client = client
        self._pulse = pulse

    def load(self, name: str, options: Mapping[str, Any], deadline: float) -> None:
        """Load `name`, showing progress; return when the stream has ended without an error (not yet proof of success).

        A connection that breaks is no failure: the load goes on in TabbyAPI, and asking again joins it; if TabbyAPI
        itself died, asking again starts anew. Raises TabbyError; `deadline` is in time.monotonic().
        """
        for left in reversed(range(JOINS + 1)):
            try:
                self._load_once(name, options, deadline)
            except (StreamCut, Unreachable) as error:
                self._pulse.check()
                if not left:
                    raise
                log.warning("The connection broke while %s was loading (%s): asking again", name, error)
                self.wait_until_reachable()
            else:
                return

    def _load_once(self, name: str, options: Mapping[str, Any], deadline: float) -> None:
        percentage = Percentage()
        self._pulse.check()
        with self._client.load(name, options) as stream:
            self._pulse.watch(stream, settings.SWITCH_TIMEOUT, deadline)
            try:
                for progress in stream:
                    percent = percentage.add(progress)
                    phase = "" if progress.phase == "model" else f"{progress.phase} model: "
                    self._pulse.show(percent, f"{phase}module {progress.module} of {progress.modules}")
            finally:
                self._pulse.watch(None)
        self._pulse.clear()

    def verified(self, name: str) -> ModelCard | None:
        """Return the card of `name`, which TabbyAPI names and which has answered a token (SWITCH_PROBE).

        '' stands for nothing loaded, and gives None. Raises ChangedOutside, NothingThere, or what the probe raised.
        """
        card = self._client.current()
        found = card.id if card else ""
        if found and found != name:
            raise ChangedOutside(
                f"TabbyAPI reported no error, yet {found} is loaded instead of {name or 'nothing'}"
            )
        if not found and name:
            raise NothingThere(f"TabbyAPI reported no error, yet {name} is not loaded")
        if card and settings.SWITCH_PROBE:
            self._client.probe(settings.SWITCH_TIMEOUT)
        return card

    def wait_until_reachable(self) -> None:
        """Wait up to SWITCH_TIMEOUT for TabbyAPI to answer at all; raise Unreachable if it does not."""
        end = time.monotonic() + settings.SWITCH_TIMEOUT
        while True:
            try:
                self._client.current()
            except (Unreachable, TimedOut):
                if time.monotonic() > end:
                    raise
                self._pulse.check()
                time.sleep(KNOCK_SECONDS)
            except TabbyError:
                return
            else:
                return
