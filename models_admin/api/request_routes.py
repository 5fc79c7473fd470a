"""The HTTP API of requests for a model: what the chat page uses. Each user sees and changes their own, nobody else's."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status
from ninja.errors import HttpError
from pydantic import BaseModel, ConfigDict, StringConstraints

from models_admin.api.auth import signed_in
from models_admin.api.schemas import problems
from models_admin.model_requests import asking
from models_admin.models import ModelRequest, TabbyModel
from models_admin.page_schema import Answered, Overview
from models_admin.permissions import may_request_models, may_switch
from models_admin.presentation import model_cards
from models_admin.servers import known
from models_admin.visible import NO_NUL

router = Router(auth=signed_in, tags=["requests"])


class Ask(BaseModel):
    """The model that is wanted, and why, in a few words."""

    model_config = ConfigDict(extra="forbid")

    model_id: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
    reason: Annotated[str, StringConstraints(max_length=asking.LONGEST)] = ""


@router.get("/models/requests", response={200: Overview, **problems()}, operation_id="list_requests")
def overview(request: HttpRequest) -> Overview:
    """List the models that may be asked for, and your requests."""
    user: Any = request.user
    switches = user.is_staff and may_switch(user)
    return {
        "models": [
            {**model_cards.describe(model), "switch_url": _switch_url(model) if switches else None}
            for model in asking.offered()
        ],
        "requests": asking.notices([user.pk])[user.pk],
    }


@router.post(
    "/models/requests",
    response={200: Answered, **problems(400, 404, 413, 422, 429)},
    operation_id="ask_for_model",
)
def ask(request: HttpRequest, body: Ask) -> Answered:
    """Ask for a model. Asking again changes the reason; a model that is loaded needs no request."""
    user: Any = request.user
    if not may_request_models(user):
        raise HttpError(403, f"You may switch to {body.model_id} yourself: there is nobody to ask.")
    try:
        asked = asking.ask(known.default(), user.pk, body.model_id, body.reason)
    except asking.NotOffered as error:
        raise HttpError(404, str(error)) from None
    except asking.TooMany as error:
        raise HttpError(429, str(error)) from None
    name = asking.titles([body.model_id])[body.model_id]
    if asked is None:
        return {"request": None, "detail": f"{name} is loaded already: it answers your messages."}
    detail = f"The administrators see that you ask for {name}. You will be told here what comes of it."
    return {"request": asking.describe(asked, name), "detail": detail}


@router.delete(
    "/models/requests/{int:request_id}",
    response={204: None, **problems(404, 409)},
    operation_id="withdraw_request",
)
def withdraw(request: HttpRequest, request_id: int) -> Status[Any]:
    """Take a request back."""
    try:
        asking.withdraw(_user(request), request_id)
    except ModelRequest.DoesNotExist:
        raise _unknown() from None
    except asking.TooLate as error:
        raise HttpError(409, str(error)) from None
    return Status(204, None)


@router.post(
    "/models/requests/{int:request_id}/seen",
    response={204: None, **problems(404)},
    operation_id="put_request_away",
)
def seen(request: HttpRequest, request_id: int) -> Status[Any]:
    """Put away the notice of how a request ended."""
    try:
        asking.seen(_user(request), request_id)
    except ModelRequest.DoesNotExist:
        raise _unknown() from None
    return Status(204, None)


def _user(request: HttpRequest) -> int:
    return request.user.pk or 0  # who got here has signed in


def _switch_url(model: TabbyModel) -> str:
    return reverse("admin:models_admin_tabbymodel_switch", args=[model.pk])


def _unknown() -> HttpError:
    return HttpError(404, "You have made no such request.")
