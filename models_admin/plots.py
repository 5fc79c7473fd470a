"""Two pictures of the history, as figures ready to be drawn: how long models take to load, and what was loaded when.

Both are bounded: the newest switches, the models loaded last. Coordinates are SVG's, in a picture WIDTH wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.utils import timezone

from models_admin.models import ENDED, Source, State, Switch

WIDTH, LABELS, ROW = 960, 250, 26
MOST_SWITCHES, MOST_MODELS, DAYS = 2000, 15, 14
SPAN = WIDTH - LABELS - 30
# Between two marks of the timeline: the first with which there are few.
STEPS = [timedelta(minutes=each) for each in (5, 10, 30, 60, 180, 360, 720, 1440, 2880)]
MOST_MARKS = 7


@dataclass(frozen=True)
class Loads:
    """One model's loads: `dots` and `middle` (the median) are places, `seconds` the figures."""

    model: str
    y: int
    dots: list[float]
    middle: float
    seconds: list[float]

    @property
    def text_y(self) -> int:
        return self.y + 4

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def fastest(self) -> float:
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        return max(self.seconds)


@dataclass(frozen=True)
class Stay:
    """A time during which one model was loaded: from `x`, `width` wide, in the row at `y`."""

    model: str
    x: float
    width: float
    y: int
    begun: datetime
    ended: datetime
    outside: bool


@dataclass(frozen=True)
class Mark:
    """A label or a tick at a place."""

    text: str
    x: float
    y: int = 0


def load_times() -> tuple[list[Loads], list[Mark], int]:
    """Return the models' loads, the newest model first, the marks of the axis, and the picture's height."""
    past = Switch.objects.filter(state=State.SUCCEEDED, seconds__has_key="loading").exclude(target="")
    found: dict[str, list[float]] = {}
    for target, seconds in past.order_by("-id").values_list("target", "seconds")[:MOST_SWITCHES]:
        if target in found or len(found) < MOST_MODELS:
            found.setdefault(target, []).append(float(seconds["loading"]))
    longest = max((max(each) for each in found.values()), default=0.0) or 1.0
    step = _step(longest)

    def place(seconds: float) -> float:
        return round(LABELS + SPAN * seconds / longest, 1)

    rows = [
        Loads(model, ROW * number + ROW, [place(each) for each in seconds], place(median(seconds)), seconds)
        for number, (model, seconds) in enumerate(found.items())
    ]
    height = ROW * (len(rows) + 2)
    ticks = [step * number for number in range(int(longest / step) + 1)]
    axis = [Mark(f"{tick:g} s", place(tick), height - 8) for tick in ticks]
    return rows, axis, height


def _step(longest: float) -> float:
    """A round distance between the marks of an axis that has at most five of them behind the first."""
    size = 10.0 ** math.floor(math.log10(longest / 5))
    return next(round(size * times, 9) for times in (1, 2, 5, 10) if longest / (size * times) <= 5)


def timeline() -> tuple[list[Stay], list[Mark], list[Mark], list[Mark], int, datetime]:
    """Return the stays, the rows' labels, the failures, the marks of the time, the picture's height and when it begins.

    It goes back DAYS, or to the first change if that is later.
    """
    now = timezone.now()
    start = now - timedelta(days=DAYS)

    def place(moment: datetime) -> float:
        return round(LABELS + SPAN * max(0.0, (moment - start) / (now - start)), 1)

    ended = list(
        Switch.objects.filter(state__in=ENDED, finished_at__isnull=False, cause=None)
        .order_by("-finished_at")
        .values_list("finished_at", "result", "state", "source", "target")[:MOST_SWITCHES]
    )
    if len(ended) < MOST_SWITCHES and ended and ended[-1][0]:
        start = max(start, min(ended[-1][0], now - timedelta(minutes=20)) - timedelta(minutes=1))
    stays: list[Stay] = []
    rows: dict[str, int] = {}
    until = now
    for finished, result, _, source, _ in ended:
        if finished is None or until <= start:
            break
        if result:
            y = rows.setdefault(result, ROW * len(rows) + ROW)
            begun = max(finished, start)
            wide = max(1.5, round(place(until) - place(begun), 1))
            stays.append(Stay(result, place(begun), wide, y - 9, finished, until, source == Source.OUTSIDE))
        until = finished
    height = ROW * (len(rows) + 2)
    failures = [
        Mark(f"{target or 'unload'} failed", place(finished), height - ROW)
        for finished, _, state, _, target in ended
        if state == State.FAILED and finished is not None and finished > start
    ]
    labels = [Mark(name, LABELS - 10, y + 4) for name, y in rows.items()]
    axis = [Mark(text, place(moment), height - 8) for moment, text in _moments(start, now)]
    return stays, labels, failures, axis, height, start


def _moments(start: datetime, now: datetime) -> list[tuple[datetime, str]]:
    """Moments between the two, newest first, evenly apart, in words."""
    step = next((each for each in STEPS if (now - start) / each <= MOST_MARKS), STEPS[-1])
    words = "%d %b" if step >= timedelta(days=1) else "%H:%M"
    moments = [now - number * step for number in range(int((now - start) / step) + 1)]
    return [(moment, timezone.localtime(moment).strftime(words)) for moment in moments]
