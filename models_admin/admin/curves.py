"""Pictures of figures over days: a line for each of a few models, told apart by colour, dashes and the shape of its points.

Positions are percentages of the picture's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

MOST_MARKS = 5  # of days: on a phone there is no room for more
MOST_LINES = 5
# Around a point at 0, 0.
_SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-4 -4h8v8h-8z",
    "M0 -5l5 9h-10z",
    "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    "M-5 4l5 -9l5 9l-5 -3z",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A model's values by day, and its number (0…) among those of the picture."""

    name: str
    number: int
    values: Mapping[date, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis at a percentage."""

    text: str
    place: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines over days, all in one unit. `words` says what it shows; a picture without values is not worth showing."""

    title: str
    words: str
    unit: str
    days: Sequence[date]
    lines: Sequence[Line]

    @property
    def empty(self) -> bool:
        return not any(line.values for line in self.lines)

    @property
    def _top(self) -> float:
        highest = max((value for line in self.lines for value in line.values.values()), default=0.0) or 1.0
        size = 10.0 ** math.floor(math.log10(highest))
        return next(round(size * times, 9) for times in (1, 2, 3, 4, 5, 6, 8, 10) if size * times >= highest)

    @property
    def heights(self) -> list[Tick]:
        """The labels of the values, the highest first."""
        return [Tick(f"{self._top * part:g} {self.unit}", 100 * (1 - part)) for part in (1, 0.5)]

    @property
    def marks(self) -> list[Tick]:
        """The labels of the days."""
        step = -(-len(self.days) // MOST_MARKS)
        last = len(self.days) - 1
        return [
            Tick(f"{day:%-d %b}", self._across(number))
            for number, day in enumerate(self.days)
            if (last - number) % step == 0
        ]

    @property
    def drawn(self) -> SafeString:
        """The lines and their points as SVG."""
        return format_html_join("", "{}", ((self._drawn(line),) for line in self.lines))

    def _across(self, number: int) -> float:
        return 2 + 96 * (number + 0.5) / len(self.days)

    def _drawn(self, line: Line) -> SafeString:
        top = self._top
        points = [
            (self._across(number), 100 * (1 - line.values[day] / top), day)
            for number, day in enumerate(self.days)
            if day in line.values
        ]
        pairs = pairwise(points)
        between = format_html_join(
            "",
            '<line x1="{}%" y1="{}%" x2="{}%" y2="{}%"/>',
            ((f"{a[0]:.2f}", f"{a[1]:.2f}", f"{b[0]:.2f}", f"{b[1]:.2f}") for a, b in pairs),
        )
        dots = format_html_join(
            "",
            '<svg x="{}%" y="{}%"><path d="{}"><title>{}, {}: {} {}</title></path></svg>',
            (
                (f"{x:.2f}", f"{y:.2f}", _SHAPES[line.number], line.name, f"{day:%-d %b %Y}",
                 f"{line.values[day]:.3g}", self.unit)
                for x, y, day in points
            ),
        )  # fmt: skip
        return format_html('<g class="gantry-line gantry-line-{}">{}{}</g>', line.number, between, dots)


def key(number: int) -> SafeString:
    """Return the piece of a line that stands beside a model's name."""
    return format_html(
        '<svg class="gantry-key gantry-line gantry-line-{}" width="32" height="12" aria-hidden="true">'
        '<line x1="0" y1="6" x2="32" y2="6"/><svg x="16" y="6"><path d="{}"/></svg></svg>',
        number,
        _SHAPES[number],
    )
