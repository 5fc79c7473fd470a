"""/api/admin/models/switch and /unload, and /api/admin/switches: ask for a change, follow it, read the history.

A request is answered when the switch has ended, or at once where that is preferred. It waits in the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NoReturn

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from ninja import Header, Query, Router, Status
from ninja.errors import HttpError

from models_admin import db_threads
from models_admin.api import idempotency
from models_admin.api.auth import require, still_may, to_read, to_switch
from models_admin.api.base import Later, answer
from models_admin.api.schemas import (
    LARGEST_ID,
    MOST_SERVERS,
    SERVERS,
    Id,
    Switched,
    Switches,
    SwitchTo,
    Tried,
    TryOut,
    Unloaded,
    problems,
)
from models_admin.automation import upkeep
from models_admin.live import event_streams
from models_admin.models import Rollout, Source, State, TabbyModel
from models_admin.models import Switch as Row
from models_admin.page_schema import Switch
from models_admin.permissions import LOOKING
from models_admin.presentation import switch_text, waiting
from models_admin.servers import catalog, known
from models_admin.switching import rollout, transitions, trying
from models_admin.tabby.errors import FilesRefused, sentence
from models_admin.tabby.wire import usable_name
from models_admin.visible import NO_NUL

router = Router()

FAILED = "Failed to {} model. Is TabbyAPI available?"
Prefer = Annotated[
    str,
    Header(
        description="`respond-async`: answer at once, with 202 and the switch's Location.", max_length=500
    ),
]
RepeatKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of your own. Sent again with the same body within 24 hours, it leads to the same switch "
        "and its answer, whatever became of the first connection.",
        min_length=1,
        max_length=128,
        pattern="^[!-~]+$",
    ),
]
LOCATION = {"Location": {"description": "Where to follow it.", "schema": {"type": "string"}}}
FOLLOWED = {"responses": {202: {"headers": LOCATION}}}


@router.post(
    "/admin/models/switch",
    auth=to_switch,
    response={200: Switched, 202: Switch, **problems(400, 404, 409, 413, 422, 502, 503)},
    operation_id="switch_model",
    openapi_extra=FOLLOWED,
)
def switch(
    request: HttpRequest, body: SwitchTo, response: HttpResponse, prefer: Prefer = "", key: RepeatKey = None
) -> Any:
    """Load a model in the place of the one that is loaded.

    If it cannot be loaded, the one that worked is loaded again. A request for the model that is being switched to
    already joins that switch.
    """
    require(request, "switch")
    name = _known_name(body.model_id)
    how = body.model_dump(exclude={"model_id", "servers"})
    asked = _ask(request, key, name, body.servers, **how)
    return _answer(request, response, asked, prefer)


@router.post(
    "/admin/models/try",
    auth=to_switch,
    response={200: Tried, 202: Switch, **problems(400, 404, 409, 413, 422, 502, 503)},
    operation_id="try_model",
    openapi_extra=FOLLOWED,
)
def try_out(
    request: HttpRequest, body: TryOut, response: HttpResponse, prefer: Prefer = "", key: RepeatKey = None
) -> Any:
    """Load a model, run all of its checks, and load again what was loaded before. Nobody is served by it.

    That checks fail is no error: the answer says which. Chats wait as for a switch, unless another server answers.
    """
    require(request, "switch")
    names = [body.server] if body.server else []
    how = body.model_dump(exclude={"model_id", "server"})
    return _answer(
        request, response, _ask(request, key, _known_name(body.model_id), names, tries=True, **how), prefer
    )


def _known_name(name: str) -> str:
    """Return the name of a model, after a look for new ones where the catalog lacks it. Raises HttpError."""
    if not usable_name(name):
        raise HttpError(
            400,
            "This cannot be a model's name: model_id names one directory in TabbyAPI's model folder.",
        )
    if catalog.stale(known.default()) and not TabbyModel.objects.filter(name=name, vanished_at=None).exists():
        upkeep.refresh_all()
    return name


@router.post(
    "/admin/models/unload",
    auth=to_switch,
    response={200: Unloaded, 202: Switch, **problems(400, 409, 422, 502, 503)},
    operation_id="unload_model",
    openapi_extra=FOLLOWED,
)
def unload(
    request: HttpRequest,
    response: HttpResponse,
    prefer: Prefer = "",
    key: RepeatKey = None,
    server: Annotated[list[str], Query(description=f"{SERVERS} Empty: all.", max_length=MOST_SERVERS)] = [],  # noqa: B006
) -> Any:
    """Unload the model. With none loaded there is nothing to do, which is a success."""
    require(request, "unload")
    return _answer(request, response, _ask(request, key, "", server), prefer)


@router.get(
    "/admin/switches",
    auth=to_read,
    response={200: Switches, **problems(422)},
    operation_id="list_switches",
)
def switches(
    request: HttpRequest,
    state: Annotated[list[State], Query(description="Only those in one of these states.")] = [],  # noqa: B006
    target: Annotated[
        str | None,
        Query(description="Only those to this model; empty: unloads.", max_length=255, pattern=NO_NUL),
    ] = None,
    before: Annotated[Id | None, Query(description="Only those older than this id.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List switches, newest first."""
    require(request, *LOOKING)
    rows = Row.objects.order_by("-pk")
    if state:
        rows = rows.filter(state__in=state)
    if target is not None:
        rows = rows.filter(target=target)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    page = waiting.describe_all(rows[: limit + 1])
    return {"switches": page[:limit], "next": page[limit - 1]["id"] if len(page) > limit else None}


@router.get(
    "/admin/switches/{int:switch_id}",
    auth=to_read,
    response={200: Switch, **problems(404)},
    url_name="switch",
    operation_id="show_switch",
)
def show(request: HttpRequest, switch_id: int) -> Switch:
    """Show how far a switch is, or how it ended."""
    require(request, *LOOKING)
    return waiting.describe(_found(switch_id).pk)


@router.delete(
    "/admin/switches/{int:switch_id}",
    auth=to_switch,
    response={200: Switch, **problems(404, 409)},
    operation_id="cancel_switch",
)
def cancel(request: HttpRequest, switch_id: int) -> Switch:
    """Cancel a switch: at once while it waits, else as soon as the load at hand has ended."""
    require(request, "switch", "unload")
    found = _found(switch_id)
    require(request, "switch" if found.target else "unload")
    try:
        transitions.cancel(found, user=request.user)
    except transitions.SwitchRefused as error:
        raise HttpError(409, str(error)) from None
    return waiting.describe(_found(switch_id).pk)


@router.get(
    "/admin/switches/{int:switch_id}/events",
    auth=to_read,
    response={204: None, **problems(404, 422, 429)},
    operation_id="follow_switch",
    openapi_extra={
        "responses": {200: {"description": event_streams.ABOUT, "content": event_streams.CONTENT}}
    },
)
def events(
    request: HttpRequest,
    switch_id: int,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", description="Sent by an EventSource that connects again.")
    ] = "",
) -> HttpResponseBase:
    """Follow a switch, as server-sent events: the whole switch at once, and again at each change, until it has ended."""
    require(request, *LOOKING)
    found = _found(switch_id)
    if last_event_id == event_streams.LAST and not found.active:
        return HttpResponse(status=204)  # which is how an EventSource is told to stop
    try:
        stream = event_streams.Stream(
            partial(waiting.describe, found.pk), request.user.pk or 0, partial(still_may, request, *LOOKING)
        )
    except event_streams.TooMany as error:
        raise HttpError(429, str(error)) from None
    return event_streams.response(stream)


def _ask(
    request: HttpRequest,
    key: str | None,
    target: str,
    names: Sequence[str],
    *,
    tries: bool = False,
    **how: Any,
) -> Row:
    """Ask for a switch of the named servers, or of all, or for a try on one of them, once for each key.

    Raises HttpError where it is refused.
    """
    try:
        request_on = trying.request_on if tries else rollout.request_on
        ask = partial(request_on, names, target, source=Source.API, user=request.user, **how)
        if key is None:
            return ask()
        where = {"servers": sorted(names)} if names else {}
        asked = {"target": target, **where, **({"tries": True} if tries else {}), **how}
        return idempotency.once(request.user.pk or 0, key, asked, ask)
    except transitions.UnknownModel as error:
        raise HttpError(404, str(error)) from None
    except transitions.Conflict as error:
        raise HttpError(409, str(error)) from None
    except transitions.SwitchRefused as error:
        raise HttpError(400, str(error)) from None
    except idempotency.Reused as error:
        raise HttpError(422, str(error)) from None


def _answer(request: HttpRequest, response: HttpResponse, asked: Row, prefer: str) -> Any:
    """Answer a request that was taken: at once if that is preferred, else when the switch has ended."""
    if re.search(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", prefer, re.IGNORECASE):
        response.headers["Location"] = _place(asked)
        response.headers["Preference-Applied"] = "respond-async"
        return Status(202, waiting.describe(asked.pk))
    return Later(request, partial(_outcome, asked.pk, asked.rollout_id))


def _place(asked: Row) -> str:
    """Return where the API shows what was asked for."""
    if asked.rollout_id is not None:
        return reverse("api-1:rollout", kwargs={"rollout_id": asked.rollout_id})
    return reverse("api-1:switch", kwargs={"switch_id": asked.pk})


async def _outcome(switch_id: int, rollout_id: int | None) -> HttpResponse:
    """Wait for a switch, or the rollout that it is a part of, to end; return the answer, or raise HttpError."""
    try:
        whole, ended = await _ended(switch_id, rollout_id)
    except waiting.NoWorker as error:
        raise HttpError(503, str(error)) from None
    if whole.state != State.SUCCEEDED:
        _refuse(whole, ended)
    if ended.tries:
        return answer(200, await db_threads.read(_report, ended))
    if not ended.target:
        return answer(200, {"message": "Model unloaded successfully"})
    return answer(200, {"message": f"Model switched to {ended.target}", "model_id": ended.target})


async def _ended(switch_id: int, rollout_id: int | None) -> tuple[Row | Rollout, Row]:
    """Return what was asked for when it has ended, and its last switch."""
    if rollout_id is not None:
        return await waiting.rollout_ended(rollout_id)
    switch = await waiting.ended(switch_id)
    return switch, switch


def _report(ended: Row) -> dict[str, Any]:
    """Return the answer to a try."""
    tried = switch_text.tried(ended)
    words = f"{ended.target} was tried: {switch_text.held(tried)}"
    return {"message": words, "model_id": ended.target, "checks": tried}


def _refuse(whole: Row | Rollout, ended: Row) -> NoReturn:
    """Raise the error of a switch, or of a rollout with its last switch.

    409 if it was cancelled, 400 if its files are wrong, else 502.
    """
    words = [sentence(whole.error), sentence(ended.advice), switch_text.standing(ended)]
    if whole.state == State.CANCELLED:
        raise HttpError(409, " ".join(filter(None, words)))
    if ended.error_kind == FilesRefused.kind:
        raise HttpError(400, " ".join(filter(None, words)))
    first = FAILED.format("switch" if ended.target else "unload")
    raise HttpError(502, " ".join(filter(None, [first, *words])))


def _found(switch_id: int) -> Row:
    row = Row.objects.filter(pk=min(switch_id, LARGEST_ID)).first()
    if row is None:
        raise HttpError(404, f"There is no switch number {switch_id}.")
    return row
