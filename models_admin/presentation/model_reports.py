"""What can be reported of a model: loads, what its replies took, its checks, and what readers say of it.

All of it is bounded by days or by number, and read by an index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median

from django.utils import timezone

from models_admin.models import CheckResult, CheckRun, State, Switch, TabbyModel
from models_admin.usage import by_model
from models_admin.usage.by_model import ModelFigures
from models_admin.usage.reading import MOST_DAYS, Span, sums

MOST_LOADS, MOST_RUNS, MOST_WORDS = 200, 10, 20


@dataclass(frozen=True, slots=True)
class Load:
    """A load that somebody asked for; `seconds` is None where it failed, and `error` says why."""

    switch: int
    at: datetime
    seconds: float | None
    error: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a reader says in words of a reply."""

    at: datetime
    good: bool
    words: str


@dataclass(frozen=True, slots=True)
class Compared:
    """How often readers of both found the model's reply better than, as good as, or worse than that of another one."""

    other: str
    better: int
    same: int
    worse: int


@dataclass(frozen=True, slots=True)
class Opinions:
    """How many replies were found good or bad, the newest words, and comparisons, those with most verdicts first."""

    up: int = 0
    down: int = 0
    words: tuple[Said, ...] = ()
    compared: tuple[Compared, ...] = ()

    def found(self, kind: str) -> int:
        """How many verdicts found it “better”, the “same”, or “worse”."""
        return sum(getattr(each, kind) for each in self.compared)


# Returns the opinions of a model in these days, with so many words at most. Registered by the application that has them.
opinions: list[Callable[[str, Span, int], Opinions]] = []


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model in a span of days; `row` is None where the catalog has never had it, lists begin with the newest."""

    name: str
    row: TabbyModel | None
    figures: ModelFigures
    loads: tuple[Load, ...]
    runs: tuple[CheckRun, ...]
    opinions: Opinions

    @property
    def load_seconds(self) -> list[float]:
        """The seconds of the loads that succeeded."""
        return [each.seconds for each in self.loads if each.seconds is not None]

    @property
    def load_median(self) -> float | None:
        return median(self.load_seconds) if self.load_seconds else None

    @property
    def loads_failed(self) -> int:
        return sum(each.seconds is None for each in self.loads)

    def loads_by_day(self) -> dict[date, float]:
        """Return the median seconds of each day's loads."""
        days: dict[date, list[float]] = {}
        for each in self.loads:
            if each.seconds is not None:
                days.setdefault(timezone.localdate(each.at), []).append(each.seconds)
        return {day: median(seconds) for day, seconds in days.items()}

    def results(self) -> dict[str, CheckResult]:
        """Return the newest result of each check, by the check's name."""
        newest: dict[str, CheckResult] = {}
        for run in self.runs:
            for each in run.results.all():
                newest.setdefault(each.name, each)
        return newest


def reports(models: Sequence[str], span: Span) -> list[ModelReport]:
    """Return a report on each of these models, in their order."""
    rows = {row.name: row for row in TabbyModel.objects.filter(name__in=models)}
    figures = by_model.figures(models, span)
    return [
        ModelReport(
            name, rows.get(name), figures[name], _loads(name, span), _runs(name), _opinions(name, span)
        )
        for name in models
    ]


def known(name: str) -> bool:
    """Whether there is anything to report of a model of this name."""
    return (
        TabbyModel.objects.filter(name=name).exists()
        or Switch.objects.filter(target=name, state__in=(State.SUCCEEDED, State.FAILED)).exists()
        or sums(Span.of_days(MOST_DAYS)).filter(model=name).exists()
    )


def _loads(name: str, span: Span) -> tuple[Load, ...]:
    columns = ("id", "created_at", "seconds", "state", "error")
    found = [
        row
        for state in (State.SUCCEEDED, State.FAILED)
        for row in Switch.objects.filter(target=name, state=state)
        .order_by("-id")
        .values_list(*columns)[:MOST_LOADS]
    ]
    return tuple(
        Load(pk, at, seconds["loading"] if state == State.SUCCEEDED else None, error)
        for pk, at, seconds, state, error in sorted(found, key=lambda row: row[0], reverse=True)
        if span.first <= timezone.localdate(at) <= span.last
        and (state == State.FAILED or "loading" in seconds)
    )


def _runs(name: str) -> tuple[CheckRun, ...]:
    return tuple(CheckRun.objects.filter(model=name).order_by("-id").prefetch_related("results")[:MOST_RUNS])


def _opinions(name: str, span: Span) -> Opinions:
    found = [of(name, span, MOST_WORDS) for of in opinions]
    return found[0] if found else Opinions()
