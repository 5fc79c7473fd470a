"""/api/admin/usage: what replies took, by day, person, token and model."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import BeforeValidator, Field

from models_admin.api.auth import require, to_read
from models_admin.api.schemas import problems
from models_admin.usage import reading

router = Router()
MOST = 5000
Group = Literal["day", "person", "token", "model", "kind", "outcome"]
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def _iso(value: Any) -> Any:
    """Take a day in ISO 8601 alone: numbers would be taken for seconds."""
    if isinstance(value, str) and not _ISO.fullmatch(value):
        raise ValueError("a day such as 2026-11-24")
    return value


Day = Annotated[date, BeforeValidator(_iso)]
SECONDS = "Seconds from asking TabbyAPI to the first token, on average; null where that is not known."


class UsageLine(Schema):
    """What the replies took that have these values in common; null is what is not asked for in `by`."""

    day: date | None = None
    person: Annotated[
        str | None, Field(description="A username; in brackets somebody without an account here.")
    ] = None
    token: Annotated[str | None, Field(description="Its name; empty in the chat.")] = None
    model: str | None = None
    kind: Annotated[str | None, Field(description="“chat”, or the endpoint under /v1.")] = None
    outcome: str | None = None
    replies: int
    prompt_tokens: int
    completion_tokens: int
    first_seconds: Annotated[float | None, Field(description=SECONDS)]
    seconds: Annotated[float, Field(description="From asking TabbyAPI to the end, all replies together.")]


class UsageLines(Schema):
    """The days, both included, and a line for each combination; `complete` is false where there are more."""

    first: date
    last: date
    complete: bool
    usage: list[UsageLine]


@router.get(
    "/admin/usage", auth=to_read, response={200: UsageLines, **problems(400, 422)}, operation_id="show_usage"
)
def usage(
    request: HttpRequest,
    by: Annotated[list[Group], Query(description="What to tell apart.", max_length=6)] = ["day", "model"],  # noqa: B006
    first: Annotated[Day | None, Query(description="The first day; 30 days before the last one.")] = None,
    last: Annotated[Day | None, Query(description="The last day; today.")] = None,
) -> dict[str, Any]:
    """Show how many replies there were, and which tokens they took. Days are those of TIME_ZONE."""
    require(request, "manage")
    until = last or timezone.localdate()
    span = reading.Span(first or until - timedelta(days=min(29, (until - date.min).days)), until)
    if not 0 <= (span.last - span.first).days < reading.MOST_DAYS:
        raise HttpError(400, f"Ask for 1 to {reading.MOST_DAYS} days.")
    found = reading.lines(span, list(dict.fromkeys(by)), MOST + 1)
    shown = [
        {
            **each.keys,
            "replies": each.replies,
            "prompt_tokens": each.prompt_tokens,
            "completion_tokens": each.completion_tokens,
            "first_seconds": each.first_seconds,
            "seconds": each.seconds,
        }
        for each in found[:MOST]
    ]
    return {"first": span.first, "last": span.last, "complete": len(found) <= MOST, "usage": shown}
