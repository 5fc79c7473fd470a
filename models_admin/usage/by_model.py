"""Reads what the replies of some models took, by day, with distributions.

It reads the sums of the days: what that costs depends on the days and on who used the models then, not on how many replies
there were or on the days before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import Sum

from models_admin.models import Usage, UsageOutcome
from models_admin.usage import histograms
from models_admin.usage.reading import Span, sums

_ADDED = ("replies", "prompt_tokens", "completion_tokens", "taken_over")
_BUCKETS = {name: histograms.columns(name) for name in Usage.DISTRIBUTIONS}


@dataclass(slots=True)
class Figures:
    """What some replies of a model took; `reasons` counts why some failed, `buckets` has the distributions."""

    replies: int = 0
    failed: int = 0
    stopped: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    taken_over: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    buckets: dict[str, list[int]] = field(
        default_factory=lambda: {name: [0] * Usage.BUCKETS for name in Usage.DISTRIBUTIONS}
    )

    def percentile(self, name: str, part: float) -> float | None:
        """Return the value of a distribution (“first”, “rate”, “context”) that this part (0…1) does not exceed."""
        return histograms.percentile(name, self.buckets[name], part)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of sums, with its outcome and reason."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + row[f"all_{name}"])
        match row["outcome"]:
            case UsageOutcome.FAILED:
                self.failed += row["all_replies"]
                self.reasons[row["reason"]] += row["all_replies"]
            case UsageOutcome.STOPPED:
                self.stopped += row["all_replies"]
        for name, columns in _BUCKETS.items():
            own = self.buckets[name]
            for number, column in enumerate(columns):
                own[number] += row[f"all_{column}"]


@dataclass(slots=True)
class ModelFigures:
    """One model's figures: of the whole span, and of each day that has any."""

    whole: Figures = field(default_factory=Figures)
    days: dict[date, Figures] = field(default_factory=dict)


def figures(models: Sequence[str], span: Span) -> dict[str, ModelFigures]:
    """Return the figures of these models, each, in these days."""
    found = {name: ModelFigures() for name in models}
    for row in _rows(models, span):
        of = found[row["model"]]
        of.whole.add(row)
        of.days.setdefault(row["day"], Figures()).add(row)
    return found


def _rows(models: Sequence[str], span: Span) -> Iterable[dict[str, Any]]:
    every = (*_ADDED, *(column for columns in _BUCKETS.values() for column in columns))
    grouped = sums(span).filter(model__in=models).values("model", "day", "outcome", "reason")
    found: Any = grouped.annotate(**{f"all_{name}": Sum(name) for name in every}).order_by("day")
    rows: Iterable[dict[str, Any]] = found
    return rows
