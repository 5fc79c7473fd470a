"""Moves a switch from state to state: it is asked for, each step, its end; cancelling; recording other changes.

Each transition is one guarded UPDATE: whoever changes no row has lost the race and stops. Those that close or open the gate
hold the lock on the server's row, as admissions do. switching/runner.py does the work between them.

    queued → draining → unloading → loading → verifying → succeeded
    queued, draining → failed                (nothing had been changed yet)
    queued, draining → cancelled             (at once)
    queued, unloading → cancelled            (it gives way to a model that it finds loaded)
    unloading, loading, verifying → rolling_back → failed | cancelled
    queued → verifying                       (the target is loaded already, as it was asked for, and answers)
    verifying → rolling_back → succeeded     (it only tried the target out)
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from models_admin import events
from models_admin.models import ACTIVE, ENDED, GATED, Rollout, Source, State, Switch, TabbyModel
from models_admin.servers import differences, known, options, presence, state_row
from models_admin.switching import admin_log
from models_admin.switching.ownership import Lost
from models_admin.visible import printable

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

log = logging.getLogger(__name__)

NEXT: dict[State, tuple[State, ...]] = {
    State.QUEUED: (State.DRAINING, State.VERIFYING, State.FAILED, State.CANCELLED),
    State.DRAINING: (State.UNLOADING, State.FAILED, State.CANCELLED),
    State.UNLOADING: (State.LOADING, State.SUCCEEDED, State.ROLLING_BACK, State.CANCELLED),
    State.LOADING: (State.VERIFYING, State.ROLLING_BACK),
    State.VERIFYING: (State.SUCCEEDED, State.ROLLING_BACK),
    State.ROLLING_BACK: (State.SUCCEEDED, State.FAILED, State.CANCELLED),
}
ATTEMPTS = 10  # to create a switch while others begin and end
GOING_BACK = "Going back to "  # with which the error of a try begins of which only the way back failed
ROLLBACK_FAILED = "failed too:"  # in the error of a switch whose way back failed as well
CANCELLABLE_AT_ONCE = (State.QUEUED, State.DRAINING)


class SwitchRefused(Exception):
    """A switch was not begun, or not cancelled; str() is a sentence for the person who asked."""


class UnknownModel(SwitchRefused):
    """The name is not in the catalog."""

    def __init__(self, server: int, name: str) -> None:
        names = presence.on(server)
        folded = {each.lower(): each for each in names}
        self.name = name
        self.near = [folded[each] for each in difflib.get_close_matches(name.lower(), folded, 3, 0.4)]
        hint = f" Did you mean {' or '.join(self.near)}?" if self.near else ""
        row = state_row.row(server)
        key = next((each for each in row.findings if each["id"] == "key"), None)
        unread = "" if row.catalog_at else " It has not been read yet: ask again in some seconds."
        if row.unreachable_since is not None:
            unread = f" It cannot be read: {row.trouble} {row.advice}"
        why = f" {key['title']}, so TabbyAPI may have more. {key['hint']}" if key else unread
        where = f" on {known.name(server)}" if known.several() else ""
        super().__init__(f"No model named “{printable(name)}” is in TabbyAPI's catalog{where}.{hint}{why}")


class Retired(SwitchRefused):
    """The model is retired."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is retired. Bring it back on its page in the admin site first.")


class Conflict(SwitchRefused):
    """Another switch of the server is under way."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        what = f"a switch to {switch.target}" if switch.target else "an unload"
        what = f"a try of {switch.target}" if switch.tries else what
        super().__init__(
            f"Another change is under way: {what} ({switch.get_state_display()}, number {switch.pk}). "
            "Wait for its end, or cancel it."
        )


class BadOptions(SwitchRefused):
    """Load options that TabbyAPI would not take."""


class TooLate(SwitchRefused):
    """The switch has ended, or is on its way back already."""


def request(
    server: int,
    target: str,
    *,
    source: Source,
    user: AbstractBaseUser | AnonymousUser | None = None,
    options: Mapping[str, Any] | None = None,
    drain_seconds: float | None = None,
    rule: str = "",
    only_if_idle: bool = False,
    only_if_empty: bool = False,
    force: bool = False,
    skip_checks: bool = False,
    tries: bool = False,
    rollout: Rollout | None = None,
) -> Switch:
    """Ask for `target` to be loaded by a server ('' = unload), and return the Switch that will do it.

    A switch to the same target that is under way is returned instead of a new one. Raises UnknownModel, Retired,
    BadOptions or Conflict. `drain_seconds` is how long replies in flight may take (default DRAIN_TIMEOUT, at most an hour).
    `rule` names the rule that asks. With `only_if_idle` the switch gives way to replies in flight and messages that wait,
    with `only_if_empty` to any model that it finds loaded. With `force` the target is loaded although its files look wrong,
    with `skip_checks` it serves without the checks before serving. With `tries` it serves nobody: all of its checks are run,
    and what was loaded before is loaded again. `rollout` is what it becomes a part of.
    """
    load_options = _load_options(server, target, options)
    drain = settings.DRAIN_TIMEOUT if drain_seconds is None else max(0.0, min(drain_seconds, 3600.0))
    attempts = 0
    while True:
        try:
            switch = _create(
                server,
                target=target,
                options=load_options,
                source=source,
                requested_by_id=getattr(user, "pk", None),
                drain_seconds=drain,
                rule=rule[:255],
                only_if_idle=only_if_idle,
                only_if_empty=only_if_empty,
                force=force,
                skip_checks=skip_checks,
                tries=tries,
                rollout=rollout,
            )
        except IntegrityError:
            running, attempts = active(server), attempts + 1
            if running is None and attempts < ATTEMPTS:
                continue  # it ended between the two statements
            if running is None:
                raise  # the database refuses something else
            if (running.target, running.tries) != (target, tries):
                raise Conflict(running) from None
            wanted = {"force": force, "skip_checks": skip_checks}
            joined = _joined(running, wanted, only_if_idle=only_if_idle, only_if_empty=only_if_empty)
            if rollout is not None:
                Switch.objects.filter(pk=joined.pk).update(rollout=rollout)
            return joined
        log.info(
            "Switch %s: %s asked for %s%s",
            switch.pk, source, target or "an unload", ", whatever its files look like" if force else "",
        )  # fmt: skip
        transaction.on_commit(partial(announce, switch))
        return switch


def _create(server: int, target: str, **columns: Any) -> Switch:
    """Write the row of a switch; raises Retired, and IntegrityError where another one of the server is under way."""
    with transaction.atomic():
        before = state_row.lock(server)
        if TabbyModel.objects.filter(name=target).exclude(retired_at=None).exists():
            raise Retired(target)
        return Switch.objects.create(
            target=target, server=before, previous=before.model, previous_options=before.options, **columns
        )


def _joined(running: Switch, wanted: Mapping[str, bool], **conditions: bool) -> Switch:
    """Return the switch under way, which is to the same end, without those of its conditions that are not set here.

    Raises Conflict where it goes back. One that has not begun takes over what is `wanted`: that its files or checks do not
    count.
    """
    if running.state == State.ROLLING_BACK or running.cancel_requested:
        raise Conflict(running) from None
    changes = {name: False for name, is_set in conditions.items() if getattr(running, name) and not is_set}
    if running.state == State.QUEUED:
        changes |= {name: True for name, is_set in wanted.items() if is_set}
    if changes:
        Switch.objects.filter(pk=running.pk).update(**changes)
    return running


def _load_options(server: int, target: str, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    if not target:
        return {}
    model = TabbyModel.objects.filter(name=target, vanished_at=None).first()
    if model is None or not presence.present(server, target):
        raise UnknownModel(server, target)
    try:
        return options.validated({**model.load_options, **(extra or {})})
    except ValueError as error:
        raise BadOptions(str(error)) from None


def announce(switch: Switch) -> None:
    """Tell a worker and the pages of a new switch. If this gets lost, a worker finds the row."""
    events.backend_changed()
    events.nudge_worker("models_admin.tasks.run_switch", switch.pk)


def active(server: int) -> Switch | None:
    """Return the switch of a server that is under way, if there is one."""
    return Switch.objects.filter(server_id=server, state__in=ACTIVE).first()


def move(switch: Switch, new: State, **fields: Any) -> None:
    """Move `switch` (owned by this process) on to `new`, and write `fields`; raises Lost if it is not in its state any more.

    The time spent in the old state is added to `seconds`. The instance is brought up to date.
    """
    old = State(switch.state)
    if new not in NEXT[old]:
        raise ValueError(f"A switch does not go from {old} to {new}.")
    mine = Switch.objects.filter(pk=switch.pk, owner=switch.owner, state=old)
    with transaction.atomic():
        if (old in GATED) != (new in GATED):
            state_row.lock(switch.server_id)
        mine.select_for_update().first()
        now = timezone.now()  # behind the locks, which may have taken long
        spent = round((now - switch.state_since).total_seconds(), 3)
        seconds = {**switch.seconds, old.value: round(switch.seconds.get(old.value, 0) + spent, 3)}
        times = {"state_since": now, "heartbeat": now, **({"finished_at": now} if new in ENDED else {})}
        changes = {"state": new, "seconds": seconds, "percent": 0, "detail": "", **times, **fields}
        if mine.update(**changes) != 1:
            raise Lost
        for name, value in changes.items():
            setattr(switch, name, value)
        if new in ENDED:
            admin_log.write(switch)
    log.info(
        "Switch %s: %s → %s%s",
        switch.pk,
        old,
        new,
        f" ({switch.error})" if new in ENDED and switch.error else "",
    )
    transaction.on_commit(events.backend_changed)


def succeed(switch: Switch, **loaded: Any) -> None:
    """End the switch as succeeded: what is loaded (`card`, `options`) and the state change in one transaction.

    The target becomes the model that is wanted. An unload makes none wanted, unless a rule asked for it: that one just
    frees memory.
    """
    wanted = bool(switch.target) or switch.source != Source.RULE
    with transaction.atomic():
        chosen_by = switch.pk if wanted else 0
        state_row.set_loaded(switch.server_id, loaded["card"], loaded.get("options"), chosen_by=chosen_by)
        if switch.target:
            TabbyModel.objects.filter(name=switch.target).update(last_loaded=timezone.now())
        really = differences.columns(loaded.get("options") or {}, loaded["card"])
        move(switch, State.SUCCEEDED, result=switch.target, percent=100, **really)


def cancel(switch: Switch, *, user: AbstractBaseUser | AnonymousUser | None) -> None:
    """Cancel a switch: at once while it is queued or draining, else when the running step ends. Raises TooLate."""
    who = getattr(user, "username", "") or "somebody"
    with transaction.atomic():
        state_row.lock(switch.server_id)
        now = timezone.now()
        waiting = Switch.objects.filter(pk=switch.pk, state__in=CANCELLABLE_AT_ONCE)
        done = waiting.update(
            state=State.CANCELLED,
            state_since=now,
            finished_at=now,
            cancel_requested=now,
            result=F("previous"),
            error=f"Cancelled by {who} before anything was changed.",
            error_kind="cancelled",
        )
        if done:
            switch.refresh_from_db()
            admin_log.write(switch)
        else:
            under_way = Switch.objects.filter(
                pk=switch.pk, state__in=(State.UNLOADING, State.LOADING, State.VERIFYING)
            )
            if not under_way.update(
                cancel_requested=now, error=f"Cancelled by {who}.", error_kind="cancelled"
            ):
                raise TooLate("This switch has ended, or is going back already: there is nothing to cancel.")
    log.info("Switch %s: cancelled by %s", switch.pk, who)
    events.backend_changed()


def record(
    server: int, *, source: Source, target: str, previous: str, state: State = State.SUCCEEDED, **fields: Any
) -> Switch:
    """Write a history row for a change that was not a switch of its own: one from outside, or a rollback."""
    now = timezone.now()
    switch = Switch.objects.create(
        **{
            "server_id": server,
            "target": target,
            "previous": previous,
            "source": source,
            "state": state,
            "drain_seconds": 0,
            "result": target,
            "created_at": fields.get("started_at", now),
            "started_at": now,
            "finished_at": now,
            **fields,
        }
    )
    if switch.source != Source.ROLLBACK:
        admin_log.write(switch)
    return switch
