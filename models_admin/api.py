"""The HTTP API for administrators. Calls answer when the work is done, or at once if that is preferred.

Errors are `{"detail": "…"}` with one string for people, whatever went wrong.
"""

from __future__ import annotations

import logging
import re
from typing import Annotated, Any, NoReturn

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Schema, Status
from ninja.errors import HttpError, ValidationError
from pydantic import ConfigDict, Field, StrictStr

from models_admin import backend, catalog, switching, waiting
from models_admin.auth import require, signed_in
from models_admin.http import Api
from models_admin.models import Source, State, Switch, TabbyModel
from models_admin.tabby.wire import usable_name

log = logging.getLogger(__name__)
api = Api(title="Gantry", version="1", docs_url=None, openapi_url=None, auth=signed_in)

LARGEST_ID = 2**63 - 1
FAILED = "Failed to {} model. Is TabbyAPI available?"


class Model(Schema):
    id: str
    name: str
    active: bool


class Models(Schema):
    models: list[Model]


class SwitchTo(Schema):
    """The model to load; for this once, load options, and how many seconds replies in flight may take (0: none)."""

    model_config = ConfigDict(extra="forbid")

    model_id: StrictStr
    options: dict[str, Any] = {}
    drain_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = None


class Switched(Schema):
    message: str
    model_id: str


class Unloaded(Schema):
    message: str


class Problem(Schema):
    detail: str


PROBLEMS = dict.fromkeys((400, 401, 403, 404, 409, 422, 502, 503), Problem)


@api.get("/admin/models", response={200: Models, 401: Problem, 403: Problem})
def models(request: HttpRequest) -> dict[str, Any]:
    """List the models in TabbyAPI's catalog, and say which one is loaded."""
    require(request, "view_tabbymodel", "switch", "unload", "manage")
    if catalog.stale() and backend.row().unreachable_since is None:
        catalog.refresh()
    active = backend.row().model
    present = TabbyModel.objects.filter(vanished_at=None)
    return {
        "models": [{"id": each.name, "name": str(each), "active": each.name == active} for each in present]
    }


@api.post("/admin/models/switch", response={200: Switched, 202: dict[str, Any], **PROBLEMS})
async def switch(request: HttpRequest, body: SwitchTo, response: HttpResponse) -> Status[Any]:
    """Load a model in the place of the one that is loaded."""
    asked = await sync_to_async(_switch_to)(request, body)
    return await _answer(request, response, asked)


@api.post("/admin/models/unload", response={200: Unloaded, 202: dict[str, Any], **PROBLEMS})
async def unload(request: HttpRequest, response: HttpResponse) -> Status[Any]:
    """Unload the model. With none loaded there is nothing to do, which is a success."""
    asked = await sync_to_async(_unload)(request)
    return await _answer(request, response, asked)


@api.get("/admin/switches/{int:switch_id}", response={200: dict[str, Any], **PROBLEMS}, url_name="switch")
def show(request: HttpRequest, switch_id: int) -> dict[str, Any]:
    """Show how far a switch is, or how it ended."""
    require(request, "view_tabbymodel", "switch", "unload", "manage")
    return waiting.told(_found(switch_id).pk)


@api.delete("/admin/switches/{int:switch_id}", response={200: dict[str, Any], **PROBLEMS})
def cancel(request: HttpRequest, switch_id: int) -> dict[str, Any]:
    """Cancel a switch: at once while it waits, else as soon as the load at hand has ended."""
    require(request, "switch", "unload")
    found = _found(switch_id)
    require(request, "switch" if found.target else "unload")
    try:
        switching.cancel(found, user=request.user)
    except switching.Refused as error:
        raise HttpError(409, str(error)) from None
    return waiting.told(_found(switch_id).pk)


def _switch_to(request: HttpRequest, body: SwitchTo) -> Switch:
    require(request, "switch")
    name = body.model_id
    if not usable_name(name):
        raise HttpError(
            400,
            "This cannot be a model's name: model_id names one directory in TabbyAPI's model folder.",
        )
    if catalog.stale() and not TabbyModel.objects.filter(name=name, vanished_at=None).exists():
        catalog.refresh()
    return _request(request, name, options=body.options, drain_seconds=body.drain_seconds)


def _unload(request: HttpRequest) -> Switch:
    require(request, "unload")
    return _request(request, "")


def _request(request: HttpRequest, target: str, **how: Any) -> Switch:
    try:
        return switching.request(target, source=Source.API, user=request.user, **how)
    except switching.UnknownModel as error:
        raise HttpError(404, str(error)) from None
    except switching.Conflict as error:
        raise HttpError(409, str(error)) from None
    except switching.Refused as error:
        raise HttpError(400, str(error)) from None


async def _answer(request: HttpRequest, response: HttpResponse, asked: Switch) -> Status[Any]:
    """Answer a request that was taken: at once if that is preferred, else when the switch has ended."""
    if re.search(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", request.headers.get("Prefer", ""), re.IGNORECASE):
        response.headers["Location"] = reverse("api-1:switch", kwargs={"switch_id": asked.pk})
        response.headers["Preference-Applied"] = "respond-async"
        return Status(202, await sync_to_async(waiting.told)(asked.pk))
    try:
        ended = await waiting.ended(asked.pk)
    except waiting.NoWorker as error:
        raise HttpError(503, str(error)) from None
    if ended.state != State.SUCCEEDED:
        _refuse(ended)
    if not ended.target:
        return Status(200, {"message": "Model unloaded successfully"})
    return Status(200, {"message": f"Model switched to {ended.target}", "model_id": ended.target})


def _refuse(ended: Switch) -> NoReturn:
    """Say why a switch did not come to its end: 409 when somebody cancelled it, else 502."""
    now = f"{ended.result} is loaded now." if ended.result else "No model is loaded now."
    words = [_sentence(ended.error), _sentence(ended.advice), now]
    if ended.state == State.CANCELLED:
        raise HttpError(409, " ".join(filter(None, words)))
    first = FAILED.format("switch" if ended.target else "unload")
    raise HttpError(502, " ".join(filter(None, [first, *words])))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _found(switch_id: int) -> Switch:
    row = Switch.objects.filter(pk=min(switch_id, LARGEST_ID)).first()
    if row is None:
        raise HttpError(404, f"There is no switch number {switch_id}.")
    return row


@api.exception_handler(ValidationError)
def _explain(request: HttpRequest, error: Any) -> HttpResponse:
    """A body, or a part of it, of the wrong shape: all that is wrong, in one sentence each."""
    words = []
    for each in error.errors:
        where = ".".join(str(part) for part in each["loc"][2:]) or "the body"
        words.append(f"{where}: {each['msg']}")
    example = (
        ' Send JSON such as {"model_id": "Llama-3.1-8B-Instruct"}.'
        if request.path.endswith("/switch")
        else ""
    )
    detail = "; ".join(words) + "." + example
    return api.create_response(request, {"detail": detail[:1000]}, status=422)


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: Exception) -> HttpResponse:
    return api.create_response(request, {"detail": "The body is too big."}, status=413)


@api.exception_handler(Exception)
def _broken(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    detail = "Something went wrong in Gantry itself; its log says what."
    return api.create_response(request, {"detail": detail}, status=500)
