"""The days and times of a rule in words."""

from __future__ import annotations

from collections.abc import Iterable

DAYS = {1: "Monday", 2: "Tuesday", 3: "Wednesday", 4: "Thursday", 5: "Friday", 6: "Saturday", 7: "Sunday"}


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
