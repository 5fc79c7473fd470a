"""Loads one model, and verifies that it is loaded: one rising percentage, across broken connections."""

from __future__ import annotations

import logging
import math
import time

from django.conf import settings
from django.utils import timezone

from models_admin.models import Load, Switch
from models_admin.servers import loads
from models_admin.servers.loads import BUSY, JOINED
from models_admin.switching import ownership
from models_admin.switching.heartbeat import Heartbeat
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import (
    Busy,
    ChangedOutside,
    KeyRefused,
    LoadFailed,
    NothingThere,
    NotLoaded,
    Rejected,
    StreamCut,
    TabbyError,
    TimedOut,
    Unreachable,
)
from models_admin.tabby.wire import LoadProgress, ModelCard

log = logging.getLogger(__name__)

JOINS = 2  # how often a load whose connection broke is asked for again
RETRY_SECONDS = 0.5  # between two attempts to reach TabbyAPI
# After these errors, a load has ended or has not begun. After any other error it may go on.
ENDED = (LoadFailed, Rejected, KeyRefused, Busy, NotLoaded)


class Percentage:
    """TabbyAPI's phases as one percentage that never falls.

    Vision and draft models, where there are any, come before the model itself, and TabbyAPI does not say how many phases
    there will be. So each early phase has a small share at the start, and the model's phase takes what is left.
    """

    SHARE = {"vision": 10, "draft": 25}

    def __init__(self) -> None:
        self.percent = 0
        self.begun = False
        self._phase = ""
        self._start = 0

    def add(self, progress: LoadProgress) -> int:
        """Return the percentage (0–100) after `progress`; 100 only when the model's own phase is finished."""
        self.begun = True
        if progress.phase != self._phase:
            self._phase, self._start = progress.phase, self.percent
        end = max(self._start, self.SHARE.get(progress.phase, 100))
        part = min(1.0, progress.module / progress.modules) if progress.modules else 0.0
        percent = int(self._start + (end - self._start) * part)
        if percent >= 100 and not progress.finished:
            percent = 99
        self.percent = max(self.percent, percent)
        return self.percent


def _why_silent(waits: list[Load]) -> str:
    if not waits:
        return JOINED
    return f"{BUSY} {waits[0].model[:150]}, whose load was given up; if it hangs, restart it"


class Loader:
    """Loads models for one running switch."""

    def __init__(self, client: TabbyClient, heartbeat: Heartbeat, switch: Switch) -> None:
        self._client = client
        self._heartbeat = heartbeat
        self._switch = switch

    def load(self, deadline: float, *, back: bool = False) -> None:
        """Load the switch's target, or what it goes `back` to; return when the stream has ended without an error.

        That is not yet proof of success: see verified(). TabbyAPI does not load a model again that it has already, whatever
        the options: one that another load brought is unloaded first. Raises TabbyError; `deadline` is in time.monotonic().
        """
        for _ in range(2):
            if not self._load_once(deadline, back):
                return
            log.info("TabbyAPI had the model already, with options that were not asked for: loading it again")
            self.unload()
        raise ChangedOutside("The model is loaded again and again with options that were not asked for")

    def unload(self) -> None:
        """Write that TabbyAPI is told to unload, and tell it. Raises Lost or TabbyError."""
        self._heartbeat.check()
        if not ownership.beat(self._switch, unload_sent=timezone.now()):
            raise ownership.Lost
        self._client.unload()

    def _load_once(self, deadline: float, back: bool) -> bool:
        """Ask for the load, and follow it to its end; return whether TabbyAPI had the model already, from another load.

        A broken connection is no failure: the load goes on in TabbyAPI, and asking again joins it. If TabbyAPI itself died,
        asking again starts the load anew.
        """
        for left in reversed(range(JOINS + 1)):
            self._heartbeat.check()
            load, again = loads.send(self._switch, back=back)
            others = list(loads.before(load))
            try:
                return self._follow(load, deadline, joins=again, waits=others)
            except (StreamCut, Unreachable) as error:
                self._heartbeat.check()
                loads.end_if_stopped(self._switch.server_id, error)
                if not left:
                    raise
                log.warning("The connection broke while %s was loading (%s): asking again", load.model, error)
                self.wait_until_reachable()
            except ENDED:
                loads.end(load, succeeded=False)
                raise
        raise AssertionError("the last try returns or raises")

    def _follow(self, load: Load, deadline: float, *, joins: bool, waits: list[Load]) -> bool:
        """Follow one stream to its end; return whether it said that the model was loaded already, by another load.

        A stream that `joins` a load under way, or that `waits` for others, is silent until they are over.
        """
        percentage, silent = Percentage(), bool(joins or waits)
        progress = None
        already = False
        read = max(settings.SWITCH_TIMEOUT, deadline - time.monotonic()) if silent else None
        with self._client.load(load.model, load.options, read_seconds=read) as stream:
            if silent:
                self._heartbeat.show(self._switch.percent, _why_silent(waits))
            self._heartbeat.watch(stream, math.inf if silent else settings.SWITCH_TIMEOUT, deadline)
            try:
                for progress in stream:
                    if not percentage.begun:
                        already = progress.finished
                        loads.mark_ended(loads.before(load))
                        self._heartbeat.watch(stream, settings.SWITCH_TIMEOUT, deadline)
                    percent = percentage.add(progress)
                    phase = "" if progress.phase == "model" else f"{progress.phase} model: "
                    self._heartbeat.show(percent, f"{phase}module {progress.module} of {progress.modules}")
            finally:
                self._heartbeat.watch(None)
        self._heartbeat.clear()
        elsewhere = already and not (joins and load.model not in {each.model for each in waits})
        if progress is not None and progress.finished and progress.phase == "model":
            loads.end(load, succeeded=not elsewhere)  # else the stream ended early, and the load goes on
        return elsewhere

    def verified(self, name: str) -> ModelCard | None:
        """Return the card of the model `name`, which TabbyAPI names and which has answered one token (SWITCH_PROBE).

        Return None for '', where TabbyAPI names none. Raises ChangedOutside, NothingThere, or what the client raised.
        """
        card = self._client.current()
        found = card.id if card else ""
        if found and found != name:
            link = (
                f"If {name} is a link to the folder of {found}, choose {found} itself, or name the link like it. "
                if name
                else ""
            )
            raise ChangedOutside(
                f"TabbyAPI reported no error, yet {found} is loaded instead of {name or 'nothing'}",
                advice=f"{link}{ChangedOutside.default_advice}",
            )
        if not found and name:
            raise NothingThere(f"TabbyAPI reported no error, yet {name} is not loaded")
        if card and settings.SWITCH_PROBE:
            self._client.probe(settings.SWITCH_TIMEOUT)
        return card

    def wait_until_reachable(self) -> None:
        """Wait up to SWITCH_TIMEOUT seconds for any answer of TabbyAPI; raises Unreachable or TimedOut if none comes."""
        end = time.monotonic() + settings.SWITCH_TIMEOUT
        while True:
            try:
                self._client.current()
            except (Unreachable, TimedOut) as error:
                loads.end_if_stopped(self._switch.server_id, error)
                if time.monotonic() > end:
                    raise
                self._heartbeat.check()
                time.sleep(RETRY_SECONDS)
            except TabbyError:
                return
            else:
                return
