"""The way back of a switch that failed, was cancelled or only tried its target out: the previous model is loaded again."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_admin.models import Source, State, Switch
from models_admin.servers import differences, loads, state_row
from models_admin.switching import transitions
from models_admin.switching.heartbeat import Heartbeat
from models_admin.switching.loader import RETRY_SECONDS, Loader
from models_admin.switching.transitions import GOING_BACK, ROLLBACK_FAILED, move
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import InternalError, NothingThere, TabbyError
from models_admin.tabby.wire import ModelCard


class WayBack:
    """Takes one running switch back."""

    def __init__(self, switch: Switch, client: TabbyClient, heartbeat: Heartbeat, loader: Loader) -> None:
        self.switch = switch
        self.server = switch.server_id
        self.client = client
        self.heartbeat = heartbeat
        self.loader = loader

    def go(self) -> None:
        """Load the previous model again, with the options it had, and end the switch. Raises TabbyError where that fails."""
        previous = self.switch.previous
        started = timezone.now()
        loads.give_up(self.switch)
        self.loader.wait_until_reachable()
        card = self.client.current()
        if card and card.id not in (previous, self.switch.target):
            self.end(card, None)  # somebody else has chosen: that is not Gantry's to undo
            return
        if not previous:
            if card:
                self.loader.unload()
            self.end(self.client.current(), None)
            return
        gone = card is None or card.id != previous or not self._has_previous_options()
        try:
            if gone or self._goes_after_all():
                gone = True
                self.loader.load(time.monotonic() + settings.SWITCH_MAX_SECONDS, back=True)
            card = self.loader.verified(previous)
        except TabbyError as error:
            self._record(error, started)
            raise
        if gone:
            self._record(None, started, card)
        self.end(card, None)

    def _goes_after_all(self) -> bool:
        """Whether the previous model, which TabbyAPI still names, is gone after an unload that nobody waits for any more.

        While that lasts, up to SWITCH_TIMEOUT seconds, the model refuses to answer.
        """
        end = time.monotonic() + settings.SWITCH_TIMEOUT
        while self._unload_sent() and time.monotonic() < end:
            self.heartbeat.check()
            try:
                self.loader.verified(self.switch.previous)
            except NothingThere:
                return True
            except TabbyError:
                time.sleep(RETRY_SECONDS)
            else:
                return False
        return False

    def _unload_sent(self) -> bool:
        """Whether this switch has told TabbyAPI to unload, whoever carried it out then."""
        return Switch.objects.filter(pk=self.switch.pk, unload_sent__isnull=False).exists()

    def _has_previous_options(self) -> bool:
        """Whether the previous model, if it is loaded, has its options of before: the target may be the same model."""
        switch = self.switch
        same = switch.previous == switch.target and switch.previous_options != switch.options
        return not same or not loads.asked_for(switch) or loads.loaded_by(switch, back=True)

    def _record(self, error: TabbyError | None, started: object, card: ModelCard | None = None) -> None:
        """Write the rollback's own row in the history."""
        self.heartbeat.check()
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

    def end(self, card: ModelCard | None, error: TabbyError | None) -> None:
        """End the switch with what is loaded now; after an `error` of the way back, its row gets both errors."""
        # Where Gantry itself failed, asking may be what did: the next look at TabbyAPI finds what is there.
        unknown: TabbyError | None = error if isinstance(error, InternalError) else None
        if error is not None and unknown is None:
            try:
                card = self.client.current()
            except TabbyError as unanswered:
                unknown = unanswered
        self.switch.refresh_from_db(fields=["cancel_requested", "error"])
        cancelled = self.switch.cancel_requested is not None
        why = self.switch.error
        kind: dict[str, Any] = {}
        if error is not None and why:
            why = f"{why} {GOING_BACK}{self.switch.previous} {ROLLBACK_FAILED} {error}"
        elif error is not None:
            why = f"{GOING_BACK}{self.switch.previous} failed: {error}"
            kind = {"error_kind": error.kind, "advice": error.advice}
        found = card.id if card else ""
        options = self._options_of(found)
        with transaction.atomic():
            if unknown is None:
                state_row.set_loaded(self.server, card, options)
            else:
                self._write_unknown(unknown)
            changes = {"result": found if unknown is None else None, "error": why, **kind}
            changes |= differences.columns(options, card)
            tried = self.switch.tries and not why
            outcome = State.SUCCEEDED if tried else State.FAILED
            move(self.switch, State.CANCELLED if cancelled else outcome, **changes)
            loads.give_up(self.switch)

    def _write_unknown(self, error: TabbyError) -> None:
        """Write that TabbyAPI does not say what is loaded.

        The row keeps the model that was last seen, unless this switch has told TabbyAPI to change that.
        """
        if self._unload_sent() or loads.any_sent(self.switch):
            state_row.set_loaded(self.server, None)
        state_row.set_trouble(self.server, error)
        if self.switch.previous:
            state_row.set_keep_due(self.server)

    def _options_of(self, found: str) -> dict[str, Any]:
        """Return the options of the model that is loaded at the end of the way back, as far as they are known."""
        switch = self.switch
        if found == switch.previous and self._has_previous_options():
            return dict(switch.previous_options)
        return dict(switch.options) if found == switch.target and loads.asked_for(switch) else {}
