"""Estimates how long a step takes: the median of a model's own past, or the usual times of the published guide."""

from __future__ import annotations

from functools import lru_cache
from statistics import median

from django.db.models import QuerySet

from models_admin.models import State, Switch
from models_admin.servers import names

PAST = 20  # how many past switches count
PAST_OF_ALL = 2000  # past switches of all models together, for load_medians()
UNLOAD_SECONDS = 3.5
# Up to how many billion parameters: the usual seconds (the middle of the ranges in the published guide).
LOAD_SECONDS = ((4.5, 7.5), (9.5, 20.0), (24.0, 45.0), (float("inf"), 90.0))


def _past(server: int, step: str) -> QuerySet[Switch]:
    return Switch.objects.filter(server_id=server, state=State.SUCCEEDED, seconds__has_key=step)


def load_seconds(server: int, name: str) -> float:
    """Return the expected seconds for a server to load the model `name`."""
    past = _past(server, "loading").filter(target=name)
    known = [seconds["loading"] for seconds in past.values_list("seconds", flat=True)[:PAST]]
    return float(median(known)) if known else usual_seconds(name)


def usual_seconds(name: str) -> float:
    """Return the usual seconds to load a model of the size that `name` shows (7B where it shows none)."""
    size = names.read(name).parameters_b or 7.0
    return next(seconds for limit, seconds in LOAD_SECONDS if size <= limit)


def rounded(seconds: float) -> int:
    """Return seconds rounded as an estimate is shown: whole ones up to half a minute, above that by fives; at least 1."""
    return max(1, round(seconds) if seconds <= 30 else 5 * round(seconds / 5))


def load_medians(server: int) -> dict[str, tuple[float, int]]:
    """Return {model: (median seconds of its last loads, how many these were)} of all that a server has loaded."""
    past = _past(server, "loading")
    known: dict[str, list[float]] = {}
    for target, seconds in past.values_list("target", "seconds")[:PAST_OF_ALL]:
        if len(loads := known.setdefault(target, [])) < PAST:
            loads.append(seconds["loading"])
    return {target: (float(median(loads)), len(loads)) for target, loads in known.items()}


def unload_seconds(server: int) -> float:
    """Return the expected seconds for a server to unload any model."""
    past = _past(server, "unloading")
    known = [seconds["unloading"] for seconds in past.values_list("seconds", flat=True)[:PAST]]
    return float(median(known)) if known else UNLOAD_SECONDS


@lru_cache(maxsize=64)
def _of(server: int, switch_id: int, target: str) -> tuple[float, float]:
    return unload_seconds(server), load_seconds(server, target) if target else 0.0


def slow(switch: Switch, elapsed_in_state: float) -> bool:
    """Whether `switch` loads for much longer than expected."""
    if switch.state != State.LOADING:
        return False
    _, load = _of(switch.server_id, switch.pk, switch.target)
    return elapsed_in_state > max(2 * load, load + 10)


def remaining(switch: Switch, elapsed_in_state: float) -> int | None:
    """Return the expected seconds until `switch` has ended; None where that is not known (queued, rolling back)."""
    unload, load = _of(switch.server_id, switch.pk, switch.target)
    if not switch.previous:
        unload = 0.0
    match switch.state:
        case State.DRAINING:
            left = max(0.0, switch.drain_seconds - elapsed_in_state) + unload + load
        case State.UNLOADING:
            left = max(0.0, unload - elapsed_in_state) + load
        case State.LOADING if switch.percent >= 10:
            left = elapsed_in_state * (100 - switch.percent) / switch.percent
        case State.LOADING:
            left = load - elapsed_in_state
        case State.VERIFYING:
            left = 1.0
        case _:
            return None
    return max(1, round(left))
