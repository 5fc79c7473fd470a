"""Brings the rules of a document in. A rule is the one that is the same in all, else the one of the same name, else new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models_admin.automation import rules
from models_admin.models import Rule, Trigger
from models_admin.setup import exporting
from models_admin.setup.document import Found, RulePart, SetupRefused, differences, place
from models_admin.tabby.wire import usable_name
from models_admin.visible import visible


def bring_rules(parts: Sequence[RulePart]) -> Found:
    """Make and change rules; yield (place, before, after). Raises SetupRefused."""
    for number, part in enumerate(parts):
        if fault := _fault(part):
            raise SetupRefused([f"{place('rules', number)}: {fault}"])
    left = list(Rule.objects.order_by("pk"))
    unmet = []
    for number, part in enumerate(parts):
        wanted = _whole(part)
        same = next((row for row in left if exporting.rule(row) == wanted), None)
        if same is None:
            unmet.append((number, part))
        else:
            left.remove(same)
    changed = []
    for number, part in unmet:
        row = next((each for each in left if each.name and each.name == visible(part.name)), None)
        if row is not None:
            left.remove(row)
        before = exporting.rule(row) if row else None
        row = _write(row or Rule(), part)
        changed.append((number, row))
        yield from differences(("rules", number), before, exporting.rule(row))
    _check_moments(changed)


def _whole(part: RulePart) -> dict[str, Any]:
    return exporting.rule(_filled(Rule(), part))


def _filled(row: Rule, part: RulePart) -> Rule:
    for name, value in part.model_dump().items():
        setattr(row, name, value)
    row.name, row.days, row.trigger = visible(part.name), sorted(set(part.days)), part.trigger.value
    return row


def _write(row: Rule, part: RulePart) -> Rule:
    """Write a rule, which acts on occasions from now on; a worker may be writing what came of it."""
    armed = rules.arm(_filled(row, part))
    row.save(update_fields=[*exporting.RULE_FIELDS, *armed] if row.pk else None)
    return row


def _fault(part: RulePart) -> str:
    """Return what is wrong with a rule, in a sentence; '' if nothing is."""
    idle, timed = part.trigger == Trigger.IDLE, part.trigger == Trigger.TIME
    faults = (
        (
            part.target and not usable_name(part.target),
            "its target cannot be the name of a model's directory.",
        ),
        (idle and part.target, "a rule for an idle model unloads it: leave its target empty."),
        (
            idle and part.idle_minutes < rules.SHORTEST_IDLE,
            f"it needs idle_minutes, {rules.SHORTEST_IDLE:g} at least.",
        ),
        (
            part.tries and not (timed and part.target),
            "a model is tried out at a set time: it needs that, and a target.",
        ),
        (
            timed and (part.at is None or not part.days),
            'a rule for a set time needs `at`, such as "08:00:00", and one of the `days` at least.',
        ),
        (
            part.at is not None and part.at.tzinfo is not None,
            "`at` is a time of day in TIME_ZONE, without a zone of its own.",
        ),
    )
    return next((words for wrong, words in faults if wrong), "")


def _check_moments(changed: list[tuple[int, Rule]]) -> None:
    """Refuse two enabled rules that would be due at the same moment."""
    enabled = list(Rule.objects.filter(enabled=True))
    for number, row in reversed(changed):
        if row.enabled and (other := rules.conflicting(row, enabled)):
            raise SetupRefused(
                [f"{place('rules', number)}: “{other}” is due at the same time. Disable one of them."]
            )
