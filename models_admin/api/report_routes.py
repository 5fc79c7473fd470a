"""/api/admin/models/{name}/report: what a model's loads and replies were like."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from models_admin.api.auth import require, to_read
from models_admin.api.schemas import NAME, problems
from models_admin.page_schema import Moment
from models_admin.presentation import model_reports
from models_admin.presentation.model_reports import ModelReport
from models_admin.usage.by_model import Figures
from models_admin.usage.reading import MOST_DAYS, Span

router = Router()
NEAR = "Told from a distribution: near, not exact. Null: not measured."
Name = Annotated[
    str, Path(min_length=1, max_length=255, pattern=r"^[^/\\\x00]+$", description="Its folder in TabbyAPI.")
]


class Distribution(Schema):
    """Values that 5, 50 and 95 of 100 replies do not exceed."""

    p5: Annotated[float | None, Field(description=NEAR)]
    p50: Annotated[float | None, Field(description=NEAR)]
    p95: Annotated[float | None, Field(description=NEAR)]


class ReplyFigures(Schema):
    """What the replies took that ended in these days."""

    replies: int
    failed: int
    stopped: int
    taken_over: Annotated[int, Field(description="Begun by another model, as a switch cut them.")]
    prompt_tokens: int
    completion_tokens: int
    reasons: Annotated[dict[str, int], Field(description="How many failed, by the kind of error.")]
    first_seconds: Annotated[Distribution, Field(description="Seconds to the first token.")]
    tokens_per_second: Distribution
    context: Annotated[Distribution, Field(description="Tokens of prompt and answer.")]


class DayFigures(ReplyFigures):
    day: date


class ReportedLoad(Schema):
    """A load that somebody asked for; `seconds` is null where it failed."""

    switch: int
    at: Moment
    seconds: float | None
    error: str


class CheckAnswer(Schema):
    """The newest result of a check."""

    check: str
    verdict: str
    why: str
    answer: str


class Comparison(Schema):
    """How often readers of both found the model's reply better than, as good as, or worse than that of another model."""

    model_id: Annotated[str, Field(examples=[NAME])]
    better: int
    same: int
    worse: int


class Opinions(Schema):
    """How many replies their readers found good or bad, the newest words, and comparisons with other models."""

    good: int
    bad: int
    words: list[str]
    compared: list[Comparison]


class ModelReportFacts(Schema):
    """A model's figures in these days, of all of them and of each that has any; lists begin with the newest."""

    model_id: Annotated[str, Field(examples=[NAME])]
    first: date
    last: date
    whole: ReplyFigures
    days: list[DayFigures]
    loads: list[ReportedLoad]
    checks: list[CheckAnswer]
    opinions: Opinions


@router.get(
    "/admin/models/{name}/report",
    auth=to_read,
    response={200: ModelReportFacts, **problems(404, 422)},
    operation_id="report_model",
)
def report(
    request: HttpRequest,
    name: Name,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="Days up to today.")] = 30,
) -> dict[str, Any]:
    """Report on a model: loads, speed, failures, checks and feedback. Days are those of TIME_ZONE."""
    require(request, "manage")
    if not model_reports.known(name):
        raise HttpError(404, f"Nothing is known of a model “{name}”.")
    span = Span.of_days(days)
    (found,) = model_reports.reports([name], span)
    return {"model_id": name, "first": span.first, "last": span.last, **_facts(found)}


def _facts(found: ModelReport) -> dict[str, Any]:
    said, by_day = found.opinions, found.figures.days
    return {
        "whole": _replies(found.figures.whole),
        "days": [{"day": day, **_replies(by_day[day])} for day in sorted(by_day, reverse=True)],
        "loads": [
            {"switch": each.switch, "at": each.at.isoformat(), "seconds": each.seconds, "error": each.error}
            for each in found.loads
        ],
        "checks": [
            {"check": name, "verdict": each.verdict, "why": each.why, "answer": each.answer}
            for name, each in found.results().items()
        ],
        "opinions": {
            "good": said.up,
            "bad": said.down,
            "words": [each.words for each in said.words],
            "compared": [
                {"model_id": each.other, "better": each.better, "same": each.same, "worse": each.worse}
                for each in said.compared
            ],
        },
    }


def _replies(figures: Figures) -> dict[str, Any]:
    counts = ("replies", "failed", "stopped", "taken_over", "prompt_tokens", "completion_tokens")
    distributions = {"first_seconds": "first", "tokens_per_second": "rate", "context": "context"}
    parts = {"p5": 0.05, "p50": 0.5, "p95": 0.95}
    return {
        **{each: getattr(figures, each) for each in counts},
        "reasons": dict(figures.reasons),
        **{
            name: {part: figures.percentile(own, value) for part, value in parts.items()}
            for name, own in distributions.items()
        },
    }
