"""The automation rules: which is due, and what it does.

Each rule has occasions, on each of which it acts once: a start of Gantry, its set time on one of its days, the moment since
which a model has been idle. `handled_until` is the last occasion that was handled, whatever came of it, so a switch that
failed is not tried again until the next one. A start and an idle model are occasions of each server, and `handled` has them
by server where there are several; a set time is one for all of them. Running a rule is one transaction that begins with a
guarded UPDATE: of two workers with the same task one does nothing, and a worker that dies has either done all or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from models_admin.models import Rule, Source, State, Switch, Trigger
from models_admin.servers import known, state_row
from models_admin.switching import demand, rollout, transitions, trying
from models_admin.switching.runner import NOT_IDLE

log = logging.getLogger(__name__)

# A set time that is noticed later than this is skipped: Gantry was down then. A rule may also wait so long for a running
# switch, or as long as it says for people.
GRACE = timedelta(minutes=10)
SHORTEST_IDLE = 0.05  # minutes


@dataclass(frozen=True, slots=True)
class Do:
    """Ask for a switch to `target` ('' = unload)."""

    target: str


@dataclass(frozen=True, slots=True)
class Skip:
    """This occasion passes without a switch, for the reason given."""

    note: str


class Wait:
    """The occasion has come, but the switch cannot be made yet."""


class Nothing:
    """Nothing is due."""


Decision = Do | Skip | Wait | Nothing


def evaluate_all(now: datetime | None = None) -> None:
    """Ask for the switches of all servers that are due at `now` (default: this moment)."""
    for server in known.all_servers():
        evaluate(server, now)


def evaluate(server: int, now: datetime | None = None) -> None:
    """Ask for the switches of a server that are due at `now` (default: this moment). An error in one rule stops no other.

    Those at a set time, which are of all servers, are asked for with the first.
    """
    enabled = Rule.objects.filter(enabled=True).select_related("last_switch")
    if server != known.default():
        enabled = enabled.exclude(trigger=Trigger.TIME)
    for rule in enabled:
        try:
            _consider(server, rule, now or timezone.now())
        except Exception:
            log.exception("Rule number %s could not be followed: trying again", rule.pk)


def arm(rule: Rule) -> list[str]:
    """Have a rule that is new, changed or enabled again act on occasions from now on; return the fields to save.

    A model that is idle already may be unloaded at once. A start or a set time that has passed does not count.
    """
    rule.handled_until = None if rule.trigger == Trigger.IDLE else timezone.now()
    rule.waits_for, rule.handled = None, {}
    return ["handled_until", "waits_for", "handled"]


def conflicting(rule: Rule, others: Iterable[Rule]) -> Rule | None:
    """Return the first of `others` that is due at the same moment as `rule`, if there is one: they would undo each other."""
    for each in others:
        same_time = each.at == rule.at and set(each.days) & set(rule.days)
        if (
            each.pk != rule.pk
            and each.trigger == rule.trigger
            and (rule.trigger != Trigger.TIME or same_time)
        ):
            return each
    return None


def deadline(rule: Rule, occasion: datetime) -> datetime:
    """Return until when a rule with a set time may act on `occasion`."""
    waits = timedelta(minutes=rule.wait_minutes) if rule.only_if_idle else timedelta()
    return occasion + max(GRACE, waits)


def next_time(rule: Rule, now: datetime) -> datetime | None:
    """Return the next set time of `rule` after `now`; None if it has none."""
    return next((each for each in _set_times(rule, now, range(9)) if each > now), None)


def idle_since(server: int) -> datetime | None:
    """Return since when a server's model has been idle: the last reply's end, or the load; None if none is loaded."""
    row = state_row.row(server)
    if not row.model or row.loaded_at is None:
        return None
    return max(filter(None, [row.loaded_at, demand.now().last_reply]))


def _set_times(rule: Rule, now: datetime, days: Iterable[int]) -> Iterable[datetime]:
    """Yield the set times on those of `days` (how many days from today) that the rule has.

    There is one a day even when clocks change: a time that is skipped comes as much later as the clocks jump, and one that
    comes twice counts the first time.
    """
    zone = timezone.get_default_timezone()
    today = now.astimezone(zone).date()
    for offset in days:
        day: date = today + timedelta(days=offset)
        if rule.at is not None and day.isoweekday() in rule.days:
            yield datetime.combine(day, rule.at, tzinfo=zone).astimezone(UTC)


def _occasion(server: int, rule: Rule, now: datetime) -> datetime | None:
    """Return the last occasion of `rule` up to now."""
    match rule.trigger:
        case Trigger.START:
            return state_row.row(server).started_at
        case Trigger.IDLE:
            return idle_since(server)
        case _:
            return next((each for each in _set_times(rule, now, range(0, -9, -1)) if each <= now), None)


def _consider(server: int, rule: Rule, now: datetime) -> None:
    occasion = _occasion(server, rule, now)
    if occasion is None or (handled(server, rule, occasion) and not _gave_way(rule, now)):
        return
    match _decide(server, rule, occasion, now):
        case Do(target):
            _run(server, rule, occasion, target)
        case Skip(note):
            note = f"{known.prefix(server)}{note}" if rule.trigger != Trigger.TIME else note
            if _record(server, rule, occasion, last_switch=None, note=note):
                log.info("Rule %s (%s): %s", rule.pk, rule, note)
        case Wait() if rule.waits_for != occasion:
            Rule.objects.filter(pk=rule.pk, handled_until=rule.handled_until).update(waits_for=occasion)
        case _:
            pass


def handled(server: int, rule: Rule, occasion: datetime) -> bool:
    """Whether a rule is done with this occasion of a server."""
    own = parse_datetime(rule.handled.get(str(server), ""))
    return any(until is not None and occasion <= until for until in (rule.handled_until, own))


def _gave_way(rule: Rule, now: datetime) -> bool:
    """Whether the switch at a set time was not made because of people, and there is still time for it."""
    last = rule.last_switch
    if rule.trigger != Trigger.TIME or last is None or rule.handled_until is None:
        return False
    gave_way = last.state == State.CANCELLED and last.error_kind == NOT_IDLE
    return gave_way and now <= deadline(rule, rule.handled_until)


def _decide(server: int, rule: Rule, occasion: datetime, now: datetime) -> Decision:
    match rule.trigger:
        case Trigger.START:
            return _at_the_start(server, rule, occasion)
        case Trigger.IDLE:
            return _when_idle(server, rule, occasion, now)
        case _:
            return _at_a_time(rule, occasion, now)


def _at_the_start(server: int, rule: Rule, started: datetime) -> Decision:
    """Load once TabbyAPI is certainly empty. What KEEP_MODEL loads comes first."""
    row = state_row.row(server)
    answered = row.seen_at is not None and row.seen_at > started and row.unreachable_since is None
    if not answered or transitions.active(server) is not None:
        return Wait()
    if row.model:
        return Skip(f"Nothing to do: {row.model} was loaded already.")
    if not state_row.vacant(row):
        return Wait()  # it says that nothing is loaded all through somebody else's load, too
    target = rule.target or state_row.last_model(server)
    return Do(target) if target else Skip("Nothing to do: no model has been loaded before.")


def _when_idle(server: int, rule: Rule, since: datetime, now: datetime) -> Decision:
    if (
        now < since + timedelta(minutes=rule.idle_minutes)
        or state_row.row(server).unreachable_since is not None
    ):
        return Nothing()
    return Nothing() if transitions.active(server) is not None or demand.in_use(server) else Do("")


def _at_a_time(rule: Rule, occasion: datetime, now: datetime) -> Decision:
    if now > (end := deadline(rule, occasion)):
        until = f"{timezone.localtime(end):%H:%M}"
        if rule.waits_for == occasion:
            return Skip(f"Skipped: until {until}, people used the model or another change was under way.")
        return Skip(f"Skipped: it was noticed after {until}, because Gantry was not running.")
    servers = rollout.chosen([], rule.target)
    if any(transitions.active(server) is not None for server in servers):
        return Wait()
    rows = [state_row.row(server) for server in servers]
    if not rule.tries and all(row.model == rule.target and row.unreachable_since is None for row in rows):
        return Skip(f"Nothing to do: {rule.target or 'no model'} was loaded already.")
    return Wait() if rule.only_if_idle and not _are_idle(servers, rule, now) else Do(rule.target)


def _are_idle(servers: Iterable[int], rule: Rule, now: datetime) -> bool:
    last = demand.now().last_reply
    long_ago = last is None or last <= now - timedelta(minutes=rule.idle_minutes)
    return long_ago and not any(map(demand.in_use, servers))


def _record(server: int, rule: Rule, occasion: datetime, **outcome: object) -> bool:
    """Write that `occasion` is handled, and its outcome; return False if somebody else did, or changed the rule."""
    same = Rule.objects.filter(
        pk=rule.pk, enabled=True, handled_until=rule.handled_until, last_run=rule.last_run
    )
    until: dict[str, object] = {"handled_until": occasion}
    if rule.trigger != Trigger.TIME and known.several():
        until = {"handled": {**rule.handled, str(server): occasion.isoformat()}}
    changes = {**until, "waits_for": None, "last_run": timezone.now(), **outcome}
    return same.update(**changes) == 1


def _run(server: int, rule: Rule, occasion: datetime, target: str) -> None:
    with transaction.atomic():
        if not _record(server, rule, occasion, last_switch=None, note=""):
            return
        try:
            switch = _ask(server, rule, target)
        except transitions.SwitchRefused as refusal:
            Rule.objects.filter(pk=rule.pk).update(note=f"Not done: {refusal}")
            log.warning("Rule %s (%s): not done: %s", rule.pk, rule, refusal)
        else:
            Rule.objects.filter(pk=rule.pk).update(last_switch=switch)


def _ask(server: int, rule: Rule, target: str) -> Switch:
    """Ask for the switch of a rule: of this server, or at a set time of all. Raises SwitchRefused."""
    by: dict[str, Any] = {"source": Source.RULE, "rule": str(rule)}
    match rule.trigger:
        case Trigger.START:
            return transitions.request(server, target, only_if_empty=True, **by)
        case Trigger.IDLE:
            return transitions.request(server, target, only_if_idle=True, **by)
        case _:
            request_on = trying.request_on if rule.tries else rollout.request_on
            return request_on([], target, only_if_idle=rule.only_if_idle, **by)
