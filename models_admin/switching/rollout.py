"""A rollout: one change of several servers, one after the other, so that the others answer meanwhile.

Its row names the servers in order; each server's part is a switch like any other. advance() looks at the switches and
decides what follows: the next switch, or the end. Anybody may call it at any time: whoever carried out a switch that has
ended, and once a second each worker, so that a rollout goes on whoever dies. The lock on its row lets one of them decide.

    running → succeeded    every server's switch has
    running → failed       a switch did not succeed: that server went back by itself, those behind it were not touched
    running → cancelled    somebody cancelled it; with `go_back`, what had been changed is changed back first
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from models_admin import events
from models_admin.models import Rollout, RolloutState, Source, State, Switch
from models_admin.servers import known, presence, team
from models_admin.switching import gate, transitions

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

log = logging.getLogger(__name__)


class Busy(transitions.SwitchRefused):
    """Another rollout is under way."""

    def __init__(self, running: Rollout) -> None:
        self.rollout = running
        what = f"{running.target} is being loaded" if running.target else "models are being unloaded"
        super().__init__(
            f"Another change is under way: {what}, one server after the other (rollout {running.pk}). "
            "Wait for its end, or cancel it."
        )


def request(
    target: str,
    servers: Sequence[int],
    *,
    source: Source,
    user: AbstractBaseUser | AnonymousUser | None = None,
    options: Mapping[str, Any] | None = None,
    drain_seconds: float | None = None,
    rule: str = "",
    only_if_idle: bool = False,
    force: bool = False,
    skip_checks: bool = False,
) -> Switch:
    """Ask for `target` ('' = unload) on these servers, one after the other in this order.

    Return the switch of the first one, whose `rollout` is the whole; of a rollout to the same target that is under way, the
    switch at hand. With one server it is a switch like any other. The arguments are those of transitions.request(), and so
    is what is raised; Busy where another rollout is under way.
    """
    if len(servers) == 1:
        return transitions.request(
            servers[0],
            target,
            source=source,
            user=user,
            options=options,
            drain_seconds=drain_seconds,
            rule=rule,
            only_if_idle=only_if_idle,
            force=force,
            skip_checks=skip_checks,
        )
    try:
        with transaction.atomic():
            gate.lock(known.all_servers())
            created = Rollout.objects.create(
                target=target,
                options=dict(options or {}),
                servers=list(servers),
                source=source,
                requested_by_id=getattr(user, "pk", None),
                drain_seconds=settings.DRAIN_TIMEOUT if drain_seconds is None else drain_seconds,
                rule=rule[:255],
                only_if_idle=only_if_idle,
                force=force,
                skip_checks=skip_checks,
            )
            first = _change(created, servers[0])
    except IntegrityError:
        return _joined(target)
    log.info(
        "Rollout %s: %s asked for %s on %s servers", created.pk, source, target or "unloads", len(servers)
    )
    return first


def request_on(names: Sequence[str], target: str, **how: Any) -> Switch:
    """Ask for `target` on the servers of these names, or without names on all that chosen() finds; `how` is request()'s."""
    return request(target, chosen(names, target), **how)


def _joined(target: str) -> Switch:
    """Return the switch at hand of the rollout under way, if that has the same target; raises Busy."""
    running = Rollout.objects.filter(state=RolloutState.RUNNING).first()
    switch = (
        Switch.objects.filter(rollout=running).exclude(source=Source.ROLLBACK).first() if running else None
    )
    if running is None or switch is None:
        raise transitions.SwitchRefused("Another change has just ended: try again.")
    if running.target != target or running.cancel_requested:
        raise Busy(running) from None
    return switch


def chosen(names: Sequence[str], target: str) -> list[int]:
    """Return the servers of these names, in this order; without names those in service that can be asked now and have
    `target`.

    Where there is none of those, all are returned: they say why. Raises SwitchRefused where there is no server of a name.
    """
    if not names:
        everywhere = known.all_servers()
        fit = [each for each in everywhere if not target or presence.present(each, target)]
        rows = {each.pk: each for each in team.rows()}
        usable = [each for each in fit if rows[each].unreachable_since is None]
        return (
            [each for each in usable if rows[each].out_of_service_since is None]
            or usable
            or fit
            or everywhere
        )
    found = {name: known.find(name) for name in names}
    if unknown := [name for name, server in found.items() if server is None]:
        raise transitions.SwitchRefused(known.none_of(unknown[0]))
    return [server for server in found.values() if server is not None]


def running_id() -> int | None:
    """Return the id of the rollout that is under way; None if there is none."""
    return Rollout.objects.filter(state=RolloutState.RUNNING).values_list("pk", flat=True).first()


def at_hand(rollout_id: int | None) -> int | None:
    """Return the id of the switch of a rollout that is under way; None if there is none."""
    if rollout_id is None:
        return None
    under_way = Switch.objects.filter(rollout_id=rollout_id, finished_at=None)
    return under_way.values_list("pk", flat=True).first()


def advance(rollout_id: int | None) -> None:
    """Do what follows in a rollout: nothing while its switch is under way, else the next server or the end."""
    if rollout_id is None:
        return
    with transaction.atomic():
        if (row := _locked(rollout_id)) is None:
            return
        switches = list(row.switches.exclude(source=Source.ROLLBACK).order_by("pk"))
        if not any(each.active for each in switches):
            _go_on(row, switches)


def cancel(row: Rollout, *, user: AbstractBaseUser | AnonymousUser | None, go_back: bool = False) -> None:
    """Cancel a rollout: the switch at hand as any switch, and no other begins. Raises TooLate where it has ended.

    With `go_back`, the servers that were changed already are changed back.
    """
    now = timezone.now()
    with transaction.atomic():
        if (locked := _locked(row.pk)) is None:
            raise transitions.TooLate("This rollout has ended already: there is nothing to cancel.")
        locked.cancel_requested, locked.go_back = locked.cancel_requested or now, locked.go_back or go_back
        locked.save(update_fields=["cancel_requested", "go_back"])
        for switch in locked.switches.filter(finished_at=None):
            with suppress(transitions.TooLate):  # it is on its way back, or at its end
                transitions.cancel(switch, user=user)
    events.backend_changed()
    advance(row.pk)


def _go_on(row: Rollout, switches: list[Switch]) -> None:
    """Begin the next switch, or end the rollout; none of its switches is under way."""
    failed = next((each for each in switches if each.state != State.SUCCEEDED), None)
    changed = {each.server_id: each for each in switches if each.state == State.SUCCEEDED}
    if row.cancel_requested is not None:
        _go_back_or_end(row, switches)
    elif failed is not None:
        _end(row, RolloutState.FAILED, f"{known.name(failed.server_id)}: {failed.error}")
    elif left := [server for server in row.servers if server not in changed]:
        _go_on_with(row, left[0], switches[-1])
    else:
        _end(row, RolloutState.SUCCEEDED)


def _go_on_with(row: Rollout, server: int, last: Switch) -> None:
    """Begin the switch of a server, as soon as another one can answer meanwhile: for that it waits up to SWITCH_TIMEOUT."""
    if row.target and answering() == [server]:
        if last.finished_at and (timezone.now() - last.finished_at).total_seconds() > settings.SWITCH_TIMEOUT:
            _end(
                row,
                RolloutState.FAILED,
                f"{known.name(server)} was left as it is, because no other server answers.",
            )
        return
    try:
        _change(row, server)
    except transitions.SwitchRefused as error:
        _end(row, RolloutState.FAILED, f"{known.name(server)}: {error}")


def answering() -> list[int]:
    """Return the servers that are given replies at present."""
    try:
        return [each.pk for each in gate.passed(gate.lock(known.all_servers()))]
    except gate.Closed:
        return []


def _go_back_or_end(row: Rollout, switches: list[Switch]) -> None:
    """Give the server that was changed last, and has not been changed back, what it had; or end as cancelled."""
    latest = {each.server_id: each for each in switches if each.state == State.SUCCEEDED}
    forth = [each for each in latest.values() if row.go_back and each.target == row.target != each.previous]
    back_failed = any(each.state == State.FAILED and each.target != row.target for each in switches)
    if not forth or back_failed:
        _end(
            row,
            RolloutState.CANCELLED,
            f"Cancelled.{' Not every server could go back.' if back_failed else ''}",
        )
        return
    last = max(forth, key=lambda each: each.pk)
    try:
        _ask(row, last.server_id, last.previous, last.previous_options)
    except transitions.SwitchRefused as error:
        _end(
            row, RolloutState.CANCELLED, f"Cancelled. {known.name(last.server_id)} could not go back: {error}"
        )


def _change(row: Rollout, server: int) -> Switch:
    return _ask(row, server, row.target, row.options)


def _ask(row: Rollout, server: int, target: str, options: Mapping[str, Any]) -> Switch:
    return transitions.request(
        server,
        target,
        source=Source(row.source),
        user=row.requested_by,
        options=options,
        drain_seconds=row.drain_seconds,
        rule=row.rule,
        only_if_idle=row.only_if_idle,
        force=row.force,
        skip_checks=row.skip_checks,
        rollout=row,
    )


def _locked(rollout_id: int) -> Rollout | None:
    """Return the rollout, with all servers and itself locked, always in this order; None where it has ended."""
    gate.lock(known.all_servers())
    return Rollout.objects.select_for_update().filter(pk=rollout_id, state=RolloutState.RUNNING).first()


def _end(row: Rollout, state: RolloutState, error: str = "") -> None:
    Rollout.objects.filter(pk=row.pk).update(state=state, error=error, finished_at=timezone.now())
    log.info("Rollout %s: %s%s", row.pk, state, f" ({error})" if error else "")
    transaction.on_commit(partial(events.backend_changed))
