"""The HTTP API of feedback: readers give it and take it back, administrators read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from ninja.errors import HttpError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from chat import feedback, page_schema, wire
from chat.models import Feedback, Message, Thumb
from models_admin.api.auth import require, signed_in, to_read
from models_admin.api.schemas import LARGEST_ID, problems
from models_admin.visible import NO_NUL, visible

router = Router(tags=["feedback"])
PAGE = 50
NOT_YOURS = "There is no such reply in your conversations."

Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=Feedback.LONGEST_WORDS, pattern=NO_NUL),
    AfterValidator(visible),
]


class FeedbackGiven(BaseModel):
    """A thumb, up to 500 characters, and whether the administrators are shown this question and reply."""

    model_config = ConfigDict(extra="forbid")

    thumb: Thumb
    words: Words = ""
    attach: StrictBool = False


class Asked(Schema):
    """Which feedback is listed."""

    model: Annotated[str, Field(max_length=255, description="A model's name; empty: all.")] = ""
    thumb: Thumb | None = None
    days: Annotated[int, Field(ge=1, le=3660, description="How many days, up to now.")] = 90
    before: Annotated[int | None, Field(ge=1, le=LARGEST_ID)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = PAGE


class Exchange(Schema):
    question: str
    answer: str


class FeedbackLine(Schema):
    """What somebody said of a reply; who, and the rest of the conversation, is not told."""

    id: int
    model: str
    thumb: Thumb
    words: str
    changed_at: datetime
    exchange: Annotated[Exchange | None, Field(description="Where its reader attached it.")]


class FeedbackCounts(Schema):
    model: str
    up: int
    down: int
    with_words: int
    attached: int


class FeedbackList(Schema):
    """The counts of the days that were asked for, and a page of feedback, the newest first.

    `next` is the `before` of the page that follows; null on the last one.
    """

    models: list[FeedbackCounts]
    feedback: list[FeedbackLine]
    next: int | None


@router.put(
    "/replies/{int:reply_id}/feedback",
    auth=signed_in,
    response={200: page_schema.Feedback, **problems(400, 404, 409, 413, 422, 429)},
    operation_id="give_feedback",
)
def give(request: HttpRequest, reply_id: int, body: FeedbackGiven) -> page_schema.Feedback | None:
    """Say what you think of a finished reply, in place of what you said of it before."""
    owner = request.user.pk or 0  # who got here has signed in
    try:
        given = feedback.give(owner, reply_id, body.thumb, body.words, attach=body.attach)
    except Message.DoesNotExist:
        raise HttpError(404, NOT_YOURS) from None
    except feedback.NotPossible as error:
        raise HttpError(409, str(error)) from None
    except feedback.TooMany as error:
        raise HttpError(429, str(error)) from None
    return wire.feedback(given)


@router.delete(
    "/replies/{int:reply_id}/feedback",
    auth=signed_in,
    response={204: None, **problems(404, 429)},
    operation_id="withdraw_feedback",
)
def withdraw(request: HttpRequest, reply_id: int) -> Status[Any]:
    """Take your feedback on a reply back, with all that was attached."""
    try:
        feedback.withdraw(request.user.pk or 0, reply_id)
    except Message.DoesNotExist:
        raise HttpError(404, NOT_YOURS) from None
    except feedback.TooMany as error:
        raise HttpError(429, str(error)) from None
    return Status(204, None)


@router.get(
    "/admin/feedback",
    auth=to_read,
    response={200: FeedbackList, **problems(422)},
    operation_id="list_feedback",
)
def listed(request: HttpRequest, asked: Query[Asked]) -> dict[str, Any]:
    """List what readers say of replies, and count it by model."""
    require(request, "manage")
    some = Feedback.objects.filter(changed_at__gt=timezone.now() - timedelta(days=asked.days))
    if asked.model:
        some = some.filter(model=asked.model.replace("\0", ""))
    if asked.thumb:
        some = some.filter(thumb=asked.thumb)
    page = some if asked.before is None else some.filter(pk__lt=asked.before)
    rows, limit = list(page.order_by("-pk")[: asked.limit + 1]), asked.limit
    more = len(rows) > limit
    return {
        "models": feedback.counts(some),
        "feedback": [_line(row) for row in rows[:limit]],
        "next": rows[limit - 1].pk if more else None,
    }


def _line(row: Feedback) -> dict[str, Any]:
    return {
        "id": row.pk,
        "model": row.model,
        "thumb": row.thumb,
        "words": row.words,
        "changed_at": row.changed_at,
        "exchange": {"question": row.question, "answer": row.answer} if row.answer else None,
    }
