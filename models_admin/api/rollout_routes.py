"""/api/admin/rollouts: follow a change of several servers, and cancel it. It is asked for as any switch is."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Header, Query, Router
from ninja.errors import HttpError

from models_admin.api.auth import require, still_may, to_read, to_switch
from models_admin.api.schemas import LARGEST_ID, problems
from models_admin.live import event_streams
from models_admin.models import Rollout as Row
from models_admin.page_schema import Rollout
from models_admin.permissions import LOOKING
from models_admin.presentation import waiting
from models_admin.switching import rollout, transitions

router = Router()


@router.get(
    "/admin/rollouts/{int:rollout_id}",
    auth=to_read,
    response={200: Rollout, **problems(404)},
    url_name="rollout",
    operation_id="show_rollout",
)
def show(request: HttpRequest, rollout_id: int) -> Rollout:
    """Show how far a change of several servers is, or how it ended."""
    require(request, *LOOKING)
    return waiting.describe_rollout(_found(rollout_id).pk)


@router.delete(
    "/admin/rollouts/{int:rollout_id}",
    auth=to_switch,
    response={200: Rollout, **problems(404, 409, 422)},
    operation_id="cancel_rollout",
)
def cancel(
    request: HttpRequest,
    rollout_id: int,
    go_back: Annotated[bool, Query(description="Change those back that have been changed already.")] = False,
) -> Rollout:
    """Cancel a change of several servers: the switch at hand as any switch is cancelled; no other one begins."""
    require(request, "switch", "unload")
    found = _found(rollout_id)
    require(request, "switch" if found.target or go_back else "unload")
    try:
        rollout.cancel(found, user=request.user, go_back=go_back)
    except transitions.SwitchRefused as error:
        raise HttpError(409, str(error)) from None
    return waiting.describe_rollout(found.pk)


@router.get(
    "/admin/rollouts/{int:rollout_id}/events",
    auth=to_read,
    response={204: None, **problems(404, 422, 429)},
    operation_id="follow_rollout",
    openapi_extra={
        "responses": {200: {"description": event_streams.ABOUT, "content": event_streams.CONTENT}}
    },
)
def events(
    request: HttpRequest,
    rollout_id: int,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", description="Sent by an EventSource that connects again.")
    ] = "",
) -> HttpResponseBase:
    """Follow a change of several servers, as server-sent events, until it has ended."""
    require(request, *LOOKING)
    found = _found(rollout_id)
    if last_event_id == event_streams.LAST and found.finished_at is not None:
        return HttpResponse(status=204)
    describe, allowed = partial(waiting.describe_rollout, found.pk), partial(still_may, request, *LOOKING)
    try:
        return event_streams.response(event_streams.Stream(describe, request.user.pk or 0, allowed))
    except event_streams.TooMany as error:
        raise HttpError(429, str(error)) from None


def _found(rollout_id: int) -> Row:
    row = Row.objects.filter(pk=min(rollout_id, LARGEST_ID)).first()
    if row is None:
        raise HttpError(404, f"There is no rollout number {rollout_id}.")
    return row
