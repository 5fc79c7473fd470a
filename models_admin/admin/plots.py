"""The data of two plots of the history: how long models take to load, and what was loaded when.

Both are bounded: the newest switches, the models loaded last. A plot is a row of SVG for each model, as wide as the window
allows. Positions and widths are percentages of it, such as "12.5%".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from django.utils import timezone
from django.utils.html import format_html, format_html_join

from models_admin.models import Source, State, Switch
from models_admin.servers import state_row

MOST_SWITCHES, MOST_MODELS, DAYS = 1000, 15, 14
NARROWEST = 0.4  # percent: a stay of a second must be visible, too
# Steps between two marks of the timeline: the first with which there are MOST_MARKS or so is taken.
STEPS = [timedelta(minutes=each) for each in (5, 10, 30, 60, 180, 360, 720, 1440, 2880)]
MOST_MARKS = 7


@dataclass(frozen=True)
class Mark:
    """A label or a tick at a part (0…1) of the plot's width."""

    text: str
    part: float

    @property
    def x(self) -> str:
        return _percent(self.part)

    @property
    def anchor(self) -> str:
        """SVG's text-anchor with which the text stays within the plot."""
        return "start" if self.part < 0.04 else "end" if self.part > 0.96 else "middle"


@dataclass(frozen=True)
class Loads:
    """One model's loads: `dots` and `middle` (the median) are positions, `seconds` the durations."""

    model: str
    dots: list[str]
    middle: str
    seconds: list[float]

    @property
    def drawn(self) -> str:
        """The dots as SVG: those at the same position are one."""
        dots = ((dot,) for dot in dict.fromkeys(self.dots))
        return format_html_join("", '<circle class="gantry-dot" cx="{}" cy="13" r="4"/>', dots)

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
    """A time during which one model was loaded; `ended` is None if it still is. `outside`: not through Gantry."""

    model: str
    begun: datetime
    ended: datetime | None
    outside: bool
    x: str
    width: str

    @property
    def since(self) -> str:
        return f"{timezone.localtime(self.begun):%-d %b %Y, %H:%M}"

    @property
    def until(self) -> str:
        return f"{timezone.localtime(self.ended):%-d %b %Y, %H:%M}" if self.ended else "until now"

    @property
    def drawn(self) -> str:
        """A bar as SVG. There may be thousands, and a template's own loop takes several times as long."""
        until = f"{timezone.localtime(self.ended):%-d %b, %H:%M}" if self.ended else "now"
        return format_html(
            '<rect class="{}" x="{}" y="4" width="{}" height="18" rx="3"><title>{}: {} – {}{}</title></rect>',
            "gantry-stay-outside" if self.outside else "gantry-stay",
            self.x,
            self.width,
            self.model,
            f"{timezone.localtime(self.begun):%-d %b, %H:%M}",
            until,
            ", not through Gantry" if self.outside else "",
        )


@dataclass(frozen=True)
class Timeline:
    """What was loaded since `start`: all stays, newest first, and the same by model in `rows`."""

    start: datetime
    stays: list[Stay]
    failures: list[Mark]
    axis: list[Mark]
    rows: dict[str, list[Stay]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stay in self.stays:
            self.rows.setdefault(stay.model, []).append(stay)


def _percent(part: float) -> str:
    return f"{100 * part:.2f}%"


def load_times(server: int) -> tuple[list[Loads], list[Mark]]:
    """Return a server's loads, the model that was loaded last first, and the marks of the axis."""
    past = Switch.objects.filter(server_id=server, state=State.SUCCEEDED, seconds__has_key="loading").exclude(
        target=""
    )
    found: dict[str, list[float]] = {}
    for target, seconds in past.order_by("-id").values_list("target", "seconds")[:MOST_SWITCHES]:
        if target in found or len(found) < MOST_MODELS:
            found.setdefault(target, []).append(float(seconds["loading"]))
    longest = max((max(each) for each in found.values()), default=0.0) or 1.0
    step = _step(longest)
    rows = [
        Loads(
            model,
            [_percent(each / longest) for each in seconds],
            _percent(median(seconds) / longest),
            seconds,
        )
        for model, seconds in found.items()
    ]
    ticks = [step * number for number in range(int(longest / step) + 1)]
    return rows, [Mark(f"{tick:g} s", tick / longest) for tick in ticks]


def _step(longest: float) -> float:
    """Return a round distance between the marks of an axis: at most five of them follow the first."""
    size = 10.0 ** math.floor(math.log10(longest / 5))
    return next(round(size * times, 9) for times in (1, 2, 5, 10) if longest / (size * times) <= 5)


@dataclass(frozen=True)
class _Change:
    """A model (or '', none) that was loaded from `at` on."""

    at: datetime
    model: str
    outside: bool


def timeline(server: int) -> Timeline:
    """Return what a server had loaded when, and what failed, for DAYS or since the first change if that is later."""
    now = timezone.now()
    start = now - timedelta(days=DAYS)
    ended = [
        (finished, result or "", state, source, target)
        for finished, result, state, source, target in Switch.objects.filter(
            server_id=server, finished_at__isnull=False
        )
        .exclude(source=Source.ROLLBACK)
        .order_by("-id")  # one is made when the one before has ended
        .values_list("finished_at", "result", "state", "source", "target")[:MOST_SWITCHES]
        if finished is not None
    ]
    changes = [
        _Change(finished, result, source == Source.OUTSIDE) for finished, result, _, source, _ in ended
    ]
    loaded = state_row.row(server)
    if loaded.model and (not changes or changes[0].model != loaded.model):
        # It was there before Gantry's first record of it.
        since = loaded.loaded_at or loaded.seen_at or now
        changes.insert(0, _Change(max([since, *(each.at for each in changes[:1])]), loaded.model, True))
    if len(changes) < MOST_SWITCHES and changes:
        start = max(start, min(changes[-1].at, now - timedelta(minutes=20)) - timedelta(minutes=1))

    def part(moment: datetime) -> float:
        return min(1.0, max(0.0, (moment - start) / (now - start)))

    failures = [
        Mark(f"{target or 'unload'} failed", part(finished))
        for finished, _, state, _, target in ended
        if state == State.FAILED and finished > start
    ]
    axis = [Mark(text, part(moment)) for moment, text in _moments(start, now)]
    return Timeline(start, _stays(changes, loaded.model, start, now, part), failures, axis)


def _stays(
    changes: list[_Change], loaded: str, start: datetime, now: datetime, part: Callable[[datetime], float]
) -> list[Stay]:
    """Return the stays that end after `start`, newest first; `loaded` is the model that is loaded now."""
    stays: list[Stay] = []
    until = now
    for number, change in enumerate(changes):
        if until <= start:
            break
        if change.model:
            left, right = part(change.at), part(until)
            wide = max(NARROWEST / 100, right - left)
            ended = None if number == 0 and change.model == loaded else until
            place = _percent(min(left, 1 - wide))
            stays.append(Stay(change.model, change.at, ended, change.outside, place, _percent(wide)))
        until = change.at
    return stays


def _moments(start: datetime, now: datetime) -> list[tuple[datetime, str]]:
    """Return moments between the two, newest first and evenly apart, each with its label."""
    step = next((each for each in STEPS if (now - start) / each <= MOST_MARKS), STEPS[-1])
    words = "%d %b" if step >= timedelta(days=1) else "%H:%M"
    moments = [now - number * step for number in range(int((now - start) / step) + 1)]
    return [(moment, timezone.localtime(moment).strftime(words)) for moment in moments]
