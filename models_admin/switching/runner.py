"""Carries a switch out, in a worker: what is done in each state, and which state follows.

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
from models_admin.checks import running as checks
from models_admin.models import ACTIVE, Source, State, Switch
from models_admin.servers import connections, loads, state_row
from models_admin.switching import (
    before_unloading,
    demand,
    gate,
    observation,
    ownership,
    rollout,
    transitions,
)
from models_admin.switching.heartbeat import Heartbeat
from models_admin.switching.loader import Loader
from models_admin.switching.ownership import Lost
from models_admin.switching.transitions import move
from models_admin.switching.way_back import WayBack
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import (
    ChangedOutside,
    InternalError,
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
    """Carry the switch out to its end. Do nothing if it cannot be claimed: it has ended, or another worker has it."""
    switch = ownership.claim(switch_id)
    if switch is None:
        return
    client = connections.client(switch.server_id)
    with log_context.switch(switch_id):
        try:
            with Heartbeat(switch) as heartbeat:
                Run(switch, client, heartbeat).to_the_end()
            rollout.advance(switch.rollout_id)
        except Lost:
            log.info("Switch %s: no longer carried out here", switch_id)
        finally:
            client.close()


class Run:
    """One switch, carried out by the worker that claimed it."""

    def __init__(self, switch: Switch, client: TabbyClient, heartbeat: Heartbeat) -> None:
        self.switch = switch
        self.server = switch.server_id
        self.client = client
        self.heartbeat = heartbeat
        self.loader = Loader(client, heartbeat, switch)
        self.way_back = WayBack(switch, client, heartbeat, self.loader)
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
                self.heartbeat.check()
                self.steps[State(self.switch.state)]()
            except TabbyError as error:
                self.heartbeat.clear()
                self.fail(error)
            except (Lost, OperationalError, InterfaceError):
                raise  # another worker has it; or the database is away, and whoever adopts the switch goes on
            except Exception as error:
                log.exception("Switch %s met an error of Gantry's own", self.switch.pk)
                self.heartbeat.clear()
                self.fail(InternalError(f"Gantry itself failed ({type(error).__name__})"))

    def prepare(self) -> None:
        """Check before anything is disturbed: TabbyAPI answers, the key may switch, the model is there."""
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
            move(self.switch, State.CANCELLED, **changes, **_gave_way(found))
        elif found == target and (not target or (self.switch.options == options and self._answers())):
            move(self.switch, State.VERIFYING, **changes)
        else:
            notes = before_unloading.look_at_files(self.switch) if target else []
            move(self.switch, State.DRAINING, **changes, file_notes=notes)

    def _answers(self) -> bool:
        """Whether the target, which is loaded, answers: TabbyAPI goes on naming a model whose engine has crashed.

        Raises the errors that a load would not mend: Unreachable, KeyRefused and Rejected.
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
        """Let replies in flight finish until the deadline, then revoke their leases; go on when no lease is left."""
        if self._gives_way():
            return
        deadline = self.switch.state_since + timedelta(seconds=self.switch.drain_seconds)
        while gate.remaining(self.server):
            if timezone.now() >= deadline:
                self._cut()
            time.sleep(DRAIN_POLL)
            self.heartbeat.check()
        move(self.switch, State.UNLOADING)

    def _gives_way(self) -> bool:
        """Cancel a switch that is `only_if_idle` where somebody uses the model or waits; the gate is closed by now."""
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
        """Whether the switch is `only_if_empty`, and a model other than its target is loaded."""
        if card is None or card.id == self.switch.target:
            return False
        return Switch.objects.filter(pk=self.switch.pk, only_if_empty=True).exists()

    def _cut(self) -> None:
        """Revoke all leases; drop those of processes that still do not let go of theirs."""
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
            move(self.switch, State.CANCELLED, **_gave_way(card.id if card else ""))
            observation.observe(self.server, card, epoch)
            return
        if card is not None:
            self.loader.unload()
        if card := self.client.current():
            raise ChangedOutside(f"{card.id} is loaded although TabbyAPI was told to unload")
        with transaction.atomic():
            # A request to cancel is written under this lock: it is seen here, or comes too late.
            state_row.lock(self.server)
            if self.switch.cancel_requested_now():
                state_row.set_loaded(self.server, None)
                move(self.switch, State.ROLLING_BACK)
            elif self.switch.target:
                state_row.set_loaded(self.server, None)
                move(self.switch, State.LOADING)
            else:
                transitions.succeed(self.switch, card=None)

    def load(self) -> None:
        """Load the target, unless this switch has loaded it already; a load of a worker that died is joined."""
        card = self.client.current()
        if card is None or card.id != self.switch.target or not loads.loaded_by(self.switch, back=False):
            self.loader.load(self._deadline())
        move(self.switch, State.VERIFYING, percent=100)

    def _deadline(self) -> float:
        """Return when (time.monotonic()) SWITCH_MAX_SECONDS have passed since the end of draining.

        A worker that takes the switch over late gets SWITCH_TIMEOUT at least (SWITCH_MAX_SECONDS at most) to join the load.
        """
        spent = (timezone.now() - self.switch.state_since).total_seconds()
        spent += float(self.switch.seconds.get(State.UNLOADING, 0))
        longest = float(settings.SWITCH_MAX_SECONDS)
        return time.monotonic() + max(longest - spent, min(float(settings.SWITCH_TIMEOUT), longest))

    def verify(self) -> None:
        """Let the switch succeed if TabbyAPI names the target and it answers; a cancelled switch goes back instead."""
        if self.switch.cancel_requested_now():
            move(self.switch, State.ROLLING_BACK)
            return
        card = self.loader.verified(self.switch.target)
        if self.switch.tries:
            self._try_out(card)
            return
        self._check_answers(card)
        self.heartbeat.check()
        with transaction.atomic():
            state_row.lock(self.server)  # as in unload()
            if self.switch.cancel_requested_now():
                move(self.switch, State.ROLLING_BACK)
                return
            transitions.succeed(self.switch, card=card, options=self.switch.options)
            if card and State.LOADING in self.switch.seconds:
                loads.forget(self.server)

    def _check_answers(self, card: ModelCard | None) -> None:
        """Run the checks before serving on a model that was just loaded. Raises CheckFailed, or Lost.

        What is kept loaded has served before, and there is nothing to go back to.
        """
        switch = self.switch
        if card is None or State.LOADING not in switch.seconds or switch.source == Source.KEEP:
            return
        if Switch.objects.filter(pk=switch.pk, skip_checks=False).exists():
            checks.before_serving(switch, card, shown=self.heartbeat.show, going_on=self._goes_on)
            self.heartbeat.clear()

    def _try_out(self, card: ModelCard | None) -> None:
        """Run all checks of the model that is tried out, and go back. What fails is in the report, and is no error."""
        if card is not None:
            checks.of_a_try(self.switch, card, shown=self.heartbeat.show, going_on=self._goes_on)
            self.heartbeat.clear()
        self.heartbeat.check()
        move(self.switch, State.ROLLING_BACK)

    def _goes_on(self) -> bool:
        self.heartbeat.check()
        return not self.switch.cancel_requested_now()

    def fail(self, error: TabbyError) -> None:
        """Write the error, and go back, or end as failed where nothing was changed yet."""
        state = State(self.switch.state)
        log.warning("Switch %s failed while %s: %s", self.switch.pk, self.switch.get_state_display(), error)
        why = {"error": str(error), "error_kind": error.kind, "advice": error.advice}
        if state in UNTOUCHED:
            if isinstance(error, Unreachable):
                state_row.set_trouble(self.server, error)
            move(self.switch, State.FAILED, result=state_row.row(self.server).model, **why)
        elif state == State.ROLLING_BACK:
            self.way_back.end(None, error)
        else:
            move(self.switch, State.ROLLING_BACK, **why)

    def roll_back(self) -> None:
        """Load the previous model again, and end the switch."""
        self.way_back.go()


def _gave_way(found: str) -> dict[str, Any]:
    """Return the columns of a switch that gave way to the model `found`."""
    why = f"Not done, because {found} has been loaded meanwhile."
    return {"result": found, "error": why, "error_kind": NOT_EMPTY}
