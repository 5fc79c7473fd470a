"""A report's figures in rows: a label, a unit, and a value for each model; for the page and for CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from models_admin.admin.curves import Line, Picture
from models_admin.models import CheckResult
from models_admin.presentation.model_reports import ModelReport
from models_admin.usage.by_model import Figures
from models_admin.usage.reading import Span

Value = float | int | None
FAILURES = {
    "": "not recorded",
    "internal": "Gantry itself failed",
    "revived": "its processes died",
    "died": "its process died",
    "refused": "refused, or its time was over",
    "failed": "a program's call failed",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each model; None: not known."""

    label: str
    unit: str
    values: tuple[Value, ...]

    @property
    def shown(self) -> list[str]:
        """The values in words."""
        return [_shown(value, self.unit) for value in self.values]


def _shown(value: Value, unit: str) -> str:
    if value is None:
        return "–"
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def _part(name: str, part: float, *, whole: bool = False) -> Callable[[ModelReport], Value]:
    def read(report: ModelReport) -> Value:
        value = report.figures.whole.percentile(name, part)
        return round(value) if whole and value is not None else value

    return read


_FIGURES: tuple[tuple[str, str, Callable[[ModelReport], Value]], ...] = (
    ("Loads", "", lambda report: len(report.load_seconds)),
    ("Loads that failed", "", lambda report: report.loads_failed),
    ("Load time, median", "s", lambda report: report.load_median),
    ("Load time, longest", "s", lambda report: max(report.load_seconds, default=None)),
    ("Replies", "", lambda report: report.figures.whole.replies),
    ("Replies that failed", "", lambda report: report.figures.whole.failed),
    ("Replies that were stopped", "", lambda report: report.figures.whole.stopped),
    ("Replies taken over from another model", "", lambda report: report.figures.whole.taken_over),
    ("First token, median", "s", _part("first", 0.5)),
    ("First token, 19 of 20 within", "s", _part("first", 0.95)),
    ("Speed, median", "tokens/s", _part("rate", 0.5)),
    ("Speed, 19 of 20 at least", "tokens/s", _part("rate", 0.05)),
    ("Speed, 19 of 20 at most", "tokens/s", _part("rate", 0.95)),
    ("Context used, median", "tokens", _part("context", 0.5, whole=True)),
    ("Context used, 19 of 20 within", "tokens", _part("context", 0.95, whole=True)),
    ("Tokens in", "", lambda report: report.figures.whole.prompt_tokens),
    ("Tokens out", "", lambda report: report.figures.whole.completion_tokens),
    ("Found good by readers", "", lambda report: report.opinions.up),
    ("Found bad by readers", "", lambda report: report.opinions.down),
    ("Found better than another model’s reply", "", lambda report: report.opinions.found("better")),
    ("Found as good as another model’s reply", "", lambda report: report.opinions.found("same")),
    ("Found worse than another model’s reply", "", lambda report: report.opinions.found("worse")),
)


def rows(reports: Sequence[ModelReport]) -> list[Row]:
    """Return all figures of some models."""
    return [Row(label, unit, tuple(read(each) for each in reports)) for label, unit, read in _FIGURES]


def reasons(reports: Sequence[ModelReport]) -> list[Row]:
    """Return why replies failed, the most frequent reason first."""
    every = {reason for each in reports for reason in each.figures.whole.reasons}
    found = [
        Row(
            FAILURES.get(reason, reason.replace("_", " ")),
            "",
            tuple(each.figures.whole.reasons[reason] for each in reports),
        )
        for reason in every
    ]
    return sorted(found, key=lambda row: (-sum(value or 0 for value in row.values), row.label))


@dataclass(frozen=True, slots=True)
class Answers:
    """A check, and its newest result of each model; None: it was not asked."""

    name: str
    results: tuple[CheckResult | None, ...]


def answers(reports: Sequence[ModelReport]) -> list[Answers]:
    """Return what the models answered to the same checks."""
    results = [each.results() for each in reports]
    names = dict.fromkeys(name for each in results for name in each)
    return [Answers(name, tuple(each.get(name) for each in results)) for name in sorted(names)]


def pictures(reports: Sequence[ModelReport], span: Span) -> list[Picture]:
    """Return the pictures that have something to show."""
    days = list(span.days())

    def drawn(
        title: str, words: str, unit: str, values: Callable[[ModelReport], dict[date, float]]
    ) -> Picture:
        lines = [Line(each.name, number, values(each)) for number, each in enumerate(reports)]
        return Picture(title, words, unit, days, lines)

    def part(name: str, of: float) -> Callable[[ModelReport], dict[date, float]]:
        return lambda report: _by_day(report, lambda figures: figures.percentile(name, of))

    every = [
        drawn("Speed", "Tokens a second, each day's median", "tokens/s", part("rate", 0.5)),
        drawn("Slowest speed", "Tokens a second that 19 of 20 replies reach", "tokens/s", part("rate", 0.05)),
        drawn("First token", "Seconds to the first token, each day's median", "s", part("first", 0.5)),
        drawn("Latest first token", "Seconds within which 19 of 20 begin", "s", part("first", 0.95)),
        drawn("Replies", "Replies that ended each day", "", lambda report: _by_day(report, _replies)),
        drawn("Failures", "Replies that failed each day", "", lambda report: _by_day(report, _failed)),
        drawn("Load time", "Seconds to load, each day's median", "s", ModelReport.loads_by_day),
    ]
    return [each for each in every if not each.empty]


def _replies(figures: Figures) -> float:
    return figures.replies


def _failed(figures: Figures) -> float | None:
    return figures.failed or None


def _by_day(report: ModelReport, value: Callable[[Figures], float | None]) -> dict[date, float]:
    read = {day: value(figures) for day, figures in report.figures.days.items()}
    return {day: each for day, each in read.items() if each is not None}
