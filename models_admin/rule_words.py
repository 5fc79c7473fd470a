"""A rule in words: the same for its list, its page, and the history of what it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models_admin.models import Rule

DAYS = {1: "Monday", 2: "Tuesday", 3: "Wednesday", 4: "Thursday", 5: "Friday", 6: "Saturday", 7: "Sunday"}


def words(rule: Rule) -> str:
    """Return what the rule does, such as “Weekdays at 08:00: switch to X, if idle”."""
    match rule.trigger:
        case "start":
            return f"At the start: load {rule.target or 'the last model'}"
        case "idle":
            return f"Unload when idle for {minutes(rule.idle_minutes)}"
        case _:
            at = f" at {rule.at.isoformat('seconds' if rule.at.second else 'minutes')}" if rule.at else ""
            when = f"{days(rule.days)}{at}"
            what = f"switch to {rule.target}" if rule.target else "unload"
            return f"{when}: {what}{', if idle' if rule.only_if_idle else ''}"


def minutes(count: float) -> str:
    """Return a number of minutes in words."""
    return "1 minute" if count == 1 else f"{count:g} minutes"


def days(chosen: Iterable[int]) -> str:
    """Return ISO weekdays in words."""
    ordered = sorted(set(chosen))
    match ordered:
        case [1, 2, 3, 4, 5, 6, 7]:
            return "Every day"
        case [1, 2, 3, 4, 5]:
            return "Weekdays"
        case [6, 7]:
            return "Weekends"
        case [day]:
            return f"{DAYS[day]}s"
        case _:
            return ", ".join(DAYS[day][:3] for day in ordered)
