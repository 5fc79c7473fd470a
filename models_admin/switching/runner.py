"""A switch carried out: the worker's side. What each state does, and which one it leads to.

The state in the database is the programme counter: a worker that takes a switch over from a dead one enters at the state it
finds and asks TabbyAPI how far things are. Every step can therefore be done twice.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from models_admin import events, log_context
from models_admin.models import ACTIVE, Source, State, Switch
from models_admin.servers import connections, differences, loads, state_row
from models_admin.switching import before_unloading, demand, gate, observation, transitions
from models_admin.switching.heartbeat import Pulse
from models_admin.switching.loader import Loader
from models_admin.switching.transitions import IN_VAIN, Lost, move
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import (
    Broken,
    ChangedOutside,
    KeyRefused,
    Rejected,
    TabbyError,
    Unreachable,
)
from models_admin.tabby.wire import ModelCard

log = logging.getLogger(__name__)

DRAIN_POLL = 0.1  # seconds between two looks at the leases
NOT_IDLE = "not_idle"  # the error_kind of a switch that gave way to people
NOT_EMPTY = "not_empty"  # of one that gave way to a model
UNTOUCHED = (State.QUEUED, State.DRAINING)  # states in which nothing has been changed yet


def run(switch_id: int) -> None:
    """Carry the switch out to its end. Does nothing if it is not to be had: done, cancelled, or in other hands."""
    switch = transitions.claim(switch_id)
    if switch is None:
        return
    client = connections.client(switch.server_id)
    with log_context.switch(switch_id):
        try:
            with Pulse(switch) as pulse:
                Run(switch, client, pulse).to_the_end()
        except Lost:
            log.info("Switch %s: no longer carried out here", switch_id)
        finally:
            client.close()


class Run:
    """One worker's hold on one switch."""

    def __init__(self, switch: Switch, client: TabbyClient, pulse: Pulse) -> None:
        self.switch = switch
        self.server = switch.server_id
        self.client = client
        self.pulse = pulse
        self.loader = Loader(client, pulse, switch)
        self.steps = {
            State.QUEUED: self.prepare,
            State.DRAINING: self.drain,
            State.UNLOADING: self.unload,
            State.LOADING: self.load,
            State.VERIFYING: self.verify,
            State.ROLLING_BACK: self.roll_back,
        }

    def to_the_end(self) -> None:
        """Do one step after the other until the switch has ended."""
        while self.switch.state in ACTIVE:
            try:
                self.pulse.check()
                self.steps[State(self.switch.state)]()
            except TabbyError as error:
                self.pulse.clear()
                self.fail(error)
            except (Lost, OperationalError, InterfaceError):
                raise  # in other hands; or the database is away, and whoever adopts the switch goes on
            except Exception as error:
                log.exception("Switch %s met an error of Gantry's own", self.switch.pk)
                self.pulse.clear()
                self.fail(Broken(f"Gantry itself failed ({type(error).__name__})"))

    def prepare(self) -> None:
        """Before anything is disturbed: TabbyAPI answers, the key may switch, the model is there."""
        if self.client.permission() != "admin":
            raise KeyRefused(
                "The key that Gantry uses may not switch models", advice=KeyRefused.default_advice
            )
        target = self.switch.target
        if target:
            before_unloading.check(self.client, target, self.switch.options)
        epoch = state_row.row(self.server).epoch
        card = self.client.current()
        observation.observe(self.server, card, epoch)
        found = card.id if card else ""
        now = timezone.now()
        known = state_row.row(self.server)
        options = known.options if known.model == found else {}
        changes = {"started_at": now, "previous": found, "previous_options": options}
        if self._gives_way_to(card):
            move(self.switch, State.CANCELLED, **changes, **_not_done(found))
        elif found == target and (not target or (self.switch.options == options and self._answers())):
            move(self.switch, State.VERIFYING, **changes)
        else:
            move(self.switch, State.DRAINING, **changes)

    def _answers(self) -> bool:
        """Whether the target, which is loaded, works: if its engine has crashed, TabbyAPI goes on naming it.

        Raises what a load would not mend: TabbyAPI is out of reach, or refuses the key or the request.
        """
        if not settings.SWITCH_PROBE:
            return not any(each["id"] == "health" for each in state_row.row(self.server).findings)
        try:
            self.client.probe(settings.SWITCH_TIMEOUT)
        except (Unreachable, KeyRefused, Rejected):
            raise
        except TabbyError as error:
            log.warning("%s does not answer, and is loaded anew: %s", self.switch.target, error)
            return False
        return True

    def drain(self) -> None:
        """Let replies in flight finish until the deadline, then have them let go; go on when no lease is left."""
        if self._gives_way():
            return
        deadline = self.switch.state_since + timedelta(seconds=self.switch.drain_seconds)
        while gate.remaining(self.server):
            if timezone.now() >= deadline:
                self._cut()
            time.sleep(DRAIN_POLL)
            self.pulse.check()
        move(self.switch, State.UNLOADING)

    def _gives_way(self) -> bool:
        """End a switch that is to be made only if nobody is there, if somebody is. Behind the gate, nobody comes in."""
        with transaction.atomic():
            known = state_row.lock(self.server)
            if not Switch.objects.filter(pk=self.switch.pk, only_if_idle=True).exists():
                return False
            if not (who := demand.in_use(self.server)):
                return False
            why = f"Not done, to disturb nobody: {who}."
            move(self.switch, State.CANCELLED, result=known.model, error=why, error_kind=NOT_IDLE)
        return True

    def _gives_way_to(self, card: ModelCard | None) -> bool:
        """Whether the switch is to be made only if nothing is loaded, and another model is."""
        if card is None or card.id == self.switch.target:
            return False
        return Switch.objects.filter(pk=self.switch.pk, only_if_empty=True).exists()

    def _cut(self) -> None:
        """Tell every holder of a lease to let go, once; leases of processes that do not are dropped in the end."""
        if cut := gate.revoke(self.server):
            self.switch.replies_cut += cut
            self.switch.let_go_at = self.switch.let_go_at or timezone.now()
            Switch.objects.filter(pk=self.switch.pk, owner=self.switch.owner).update(
                replies_cut=self.switch.replies_cut, let_go_at=self.switch.let_go_at
            )
            events.let_go()
            events.backend_changed()
        gate.drop_deaf(self.server)

    def unload(self) -> None:
        """Unload what is loaded, and see that it is gone."""
        epoch = state_row.row(self.server).epoch
        card = self.client.current()
        if self._gives_way_to(card):
            move(self.switch, State.CANCELLED, **_not_done(card.id if card else ""))
            observation.observe(self.server, card, epoch)
            return
        if card is not None:
            self._send_unload()
        if card := self.client.current():
            raise ChangedOutside(f"{card.id} is loaded although TabbyAPI was told to unload")
        with transaction.atomic():
            state_row.lock(
                self.server
            )  # a request to cancel is written behind it: it is seen here, or comes too late
            if self.switch.cancel_requested_now():
                state_row.set_loaded(self.server, None)
                move(self.switch, State.ROLLING_BACK)
            elif self.switch.target:
                state_row.set_loaded(self.server, None)
                move(self.switch, State.LOADING)
            else:
                transitions.succeed(self.switch, card=None)

    def _send_unload(self) -> None:
        """Tell TabbyAPI to unload; that it is told is written down before."""
        self.pulse.check()
        if not transitions.beat(self.switch, unload_sent=timezone.now()):
            raise Lost
        self.client.unload()

    def load(self) -> None:
        """Load the target; a load that runs already (of a worker that died) is joined."""
        card = self.client.current()
        if card is None or card.id != self.switch.target or not loads.made(self.switch, back=False):
            self.loader.load(self._deadline())
        move(self.switch, State.VERIFYING, percent=100)

    def _deadline(self) -> float:
        """When (time.monotonic()) SWITCH_MAX_SECONDS have passed since the end of draining.

        A worker that takes the switch over late has time to join the load: SWITCH_TIMEOUT, if that is not more.
        """
        spent = (timezone.now() - self.switch.state_since).total_seconds()
        spent += float(self.switch.seconds.get(State.UNLOADING, 0))
        longest = float(settings.SWITCH_MAX_SECONDS)
        return time.monotonic() + max(longest - spent, min(float(settings.SWITCH_TIMEOUT), longest))

    def verify(self) -> None:
        """Success is that TabbyAPI names the target and that it answers; a cancelled switch goes back instead."""
        if self.switch.cancel_requested_now():
            move(self.switch, State.ROLLING_BACK)
            return
        card = self.loader.verified(self.switch.target)
        self.pulse.check()
        with transaction.atomic():
            state_row.lock(self.server)  # as in unload()
            if self.switch.cancel_requested_now():
                move(self.switch, State.ROLLING_BACK)
                return
            transitions.succeed(self.switch, card=card, options=self.switch.options)
            if card and State.LOADING in self.switch.seconds:
                loads.forget(self.server)

    def fail(self, error: TabbyError) -> None:
        """Write the error down, and go where it leads: back, or to the end where nothing was changed yet."""
        state = State(self.switch.state)
        log.warning("Switch %s failed while %s: %s", self.switch.pk, self.switch.get_state_display(), error)
        why = {"error": str(error), "error_kind": error.kind, "advice": error.advice}
        if state in UNTOUCHED:
            if isinstance(error, Unreachable):
                state_row.set_trouble(self.server, error)
            move(self.switch, State.FAILED, result=state_row.row(self.server).model, **why)
        elif state == State.ROLLING_BACK:
            self._end(None, error)
        else:
            move(self.switch, State.ROLLING_BACK, **why)

    def roll_back(self) -> None:
        """Load the previous model again, with the options it had; what is loaded in the end is told as it is."""
        previous = self.switch.previous
        started = timezone.now()
        loads.give_up(self.switch)
        self.loader.wait_until_reachable()
        card = self.client.current()
        if card and card.id not in (previous, self.switch.target):
            self._end(card, None)  # somebody else has chosen: that is not Gantry's to undo
            return
        if not previous:
            if card:
                self._send_unload()
            self._end(self.client.current(), None)
            return
        gone = card is None or card.id != previous or not self._as_it_was()
        try:
            if gone:
                self.loader.load(time.monotonic() + settings.SWITCH_MAX_SECONDS, back=True)
            card = self.loader.verified(previous)
        except TabbyError as error:
            self._record(error, started)
            raise
        if gone:
            self._record(None, started, card)
        self._end(card, None)

    def _as_it_was(self) -> bool:
        """Whether the previous model, if it is loaded, has the options that it had: the target may be the same model."""
        switch = self.switch
        same = switch.previous == switch.target and switch.previous_options != switch.options
        return not same or not loads.asked_for(switch) or loads.made(switch, back=True)

    def _record(self, error: TabbyError | None, started: object, card: ModelCard | None = None) -> None:
        """The rollback's own row in the history."""
        self.pulse.check()
        seconds = {"loading": round((timezone.now() - self.switch.state_since).total_seconds(), 3)}
        transitions.record(
            self.server,
            source=Source.ROLLBACK,
            target=self.switch.previous,
            previous="",
            state=State.FAILED if error else State.SUCCEEDED,
            options=self.switch.previous_options,
            cause=self.switch,
            started_at=started,
            seconds={} if error else seconds,
            result="" if error else self.switch.previous,
            error=str(error) if error else "",
            error_kind=error.kind if error else "",
            advice=error.advice if error else "",
            **differences.columns(self.switch.previous_options, card),
        )

    def _end(self, card: ModelCard | None, error: TabbyError | None) -> None:
        """End the way back with what is loaded now; where even that failed, with both errors told."""
        # Where Gantry itself failed, asking may be what did: the next look at TabbyAPI finds what is there.
        unknown: TabbyError | None = error if isinstance(error, Broken) else None
        if error is not None and unknown is None:
            try:
                card = self.client.current()
            except TabbyError as unanswered:
                unknown = unanswered
        self.switch.refresh_from_db(fields=["cancel_requested", "error"])
        cancelled = self.switch.cancel_requested is not None
        why = self.switch.error
        if error is not None:
            why = f"{why} Going back to {self.switch.previous} {IN_VAIN} {error}"
        found = card.id if card else ""
        options = self._options_of(found)
        with transaction.atomic():
            if unknown is None:
                state_row.set_loaded(self.server, card, options)
            else:
                self._write_unknown(unknown)
            changes = {"result": found if unknown is None else None, "error": why}
            changes |= differences.columns(options, card)
            move(self.switch, State.CANCELLED if cancelled else State.FAILED, **changes)
            loads.give_up(self.switch)

    def _write_unknown(self, error: TabbyError) -> None:
        """Write that TabbyAPI does not say what is loaded: what was last seen, unless it was told to change that."""
        told = Switch.objects.filter(pk=self.switch.pk, unload_sent__isnull=False).exists()
        if told or loads.any_sent(self.switch):
            state_row.set_loaded(self.server, None)
        state_row.set_trouble(self.server, error)
        if self.switch.previous:
            state_row.set_keep_due(self.server)

    def _options_of(self, found: str) -> dict[str, Any]:
        """The options of the model that is loaded at the end of the way back, as far as they are known."""
        switch = self.switch
        if found == switch.previous and self._as_it_was():
            return dict(switch.previous_options)
        return dict(switch.options) if found == switch.target and loads.asked_for(switch) else {}


def _not_done(found: str) -> dict[str, Any]:
    """The columns of a switch that gives way to a model."""
    why = f"Not done, because {found} has been loaded meanwhile."
    return {"result": found, "error": why, "error_kind": NOT_EMPTY}
