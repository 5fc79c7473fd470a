"""/api/admin/aliases: names for models. A change of what an alias stands for loads nothing: that is a switch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Status
from ninja.errors import HttpError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from models_admin.aliases import changes
from models_admin.aliases.changes import NAME, Wanted
from models_admin.aliases.facts import AliasDetails, AliasFacts, describe, details
from models_admin.aliases.sampling import LONGEST_PROMPT
from models_admin.api.auth import require, to_read, to_switch
from models_admin.api.schemas import problems
from models_admin.models import Alias
from models_admin.permissions import LOOKING
from models_admin.servers import team
from models_admin.visible import NO_NUL

router = Router()

NewName = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$"), Field(examples=["coder"])]
ModelName = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
Prompt = Annotated[str, StringConstraints(max_length=LONGEST_PROMPT, pattern=NO_NUL)]
GroupName = Annotated[str, StringConstraints(min_length=1, max_length=150, pattern=NO_NUL)]
Groups = Annotated[list[GroupName], Field(max_length=changes.MOST_GROUPS)]
Sampling = Annotated[dict[str, Any], Field(examples=[{"temperature": 0.2, "top_p": 0.9}])]


class NewAlias(BaseModel):
    """An alias. An empty model is whatever is loaded; without groups, everybody may use it."""

    model_config = ConfigDict(extra="forbid")

    name: NewName
    model: ModelName = ""
    sampling: Sampling = {}
    system_prompt: Prompt = ""
    groups: Groups | None = None


class AliasPatch(BaseModel):
    """What is to be changed; what is not named stays. `sampling` and `groups` are replaced; groups null: everybody."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName | None = None
    sampling: Sampling | None = None
    system_prompt: Prompt | None = None
    groups: Groups | None = None


class Aliases(BaseModel):
    aliases: list[AliasFacts]


@router.get(
    "/admin/aliases", auth=to_read, response={200: Aliases, **problems()}, operation_id="list_aliases"
)
def aliases(request: HttpRequest) -> dict[str, Any]:
    """List the aliases of models, the retired ones too."""
    require(request, *LOOKING)
    return {"aliases": describe(Alias.objects.prefetch_related("groups"), _loaded())}


@router.post(
    "/admin/aliases",
    auth=to_switch,
    response={201: AliasDetails, **problems(400, 409, 413, 422)},
    operation_id="make_alias",
)
def make(request: HttpRequest, body: NewAlias) -> Status[Any]:
    """Make an alias."""
    require(request, "manage")
    wanted = _wanted(body.model_dump(exclude={"name"}))
    return Status(201, _done(partial(changes.make, body.name, wanted, request.user.pk)))


@router.get(
    "/admin/aliases/{str:name}",
    auth=to_read,
    response={200: AliasDetails, **problems(404)},
    operation_id="show_alias",
)
def show(request: HttpRequest, name: str) -> AliasDetails:
    """Show one alias, and what it has stood for."""
    require(request, *LOOKING)
    return _done(partial(changes.find, name))


@router.patch(
    "/admin/aliases/{str:name}",
    auth=to_switch,
    response={200: AliasDetails, **problems(400, 404, 413, 422)},
    operation_id="change_alias",
)
def change(request: HttpRequest, name: str, body: AliasPatch) -> AliasDetails:
    """Change what an alias stands for, what it brings, or who may use it. Its name stays."""
    require(request, "manage")
    wanted = _wanted(body.model_dump(exclude_unset=True))
    return _done(lambda: changes.change(changes.find(name), wanted, request.user.pk))


@router.delete(
    "/admin/aliases/{str:name}",
    auth=to_switch,
    response={200: AliasDetails, **problems(400, 404, 422)},
    operation_id="retire_alias",
)
def retire(
    request: HttpRequest,
    name: str,
    successor: Annotated[
        str,
        Query(
            description="What to use instead: another alias, or a model.",
            max_length=255,
            pattern=NO_NUL,
        ),
    ] = "",
) -> AliasDetails:
    """Retire an alias: who calls it is told so, and where to go. `restore` brings it back."""
    require(request, "manage")
    return _done(lambda: changes.retire(changes.find(name), successor, request.user.pk))


@router.post(
    "/admin/aliases/{str:name}/restore",
    auth=to_switch,
    response={200: AliasDetails, **problems(404)},
    operation_id="restore_alias",
)
def restore(request: HttpRequest, name: str) -> AliasDetails:
    """Bring a retired alias back, as it was."""
    require(request, "manage")
    return _done(lambda: changes.restore(changes.find(name), request.user.pk))


def _wanted(fields: dict[str, Any]) -> Wanted:
    """Return what a body asks for: groups that are null are everybody."""
    everybody: bool | None = None
    if "groups" in fields:
        everybody = fields["groups"] is None
        fields["groups"] = fields["groups"] or ()
    return Wanted(everybody=everybody, **fields)


def _done(step: Callable[[], Alias]) -> AliasDetails:
    """Return the alias that a step returns. Raises HttpError where it is refused."""
    try:
        return details(step(), _loaded())
    except changes.UnknownAlias as error:
        raise HttpError(404, str(error)) from None
    except changes.Taken as error:
        raise HttpError(409, str(error)) from None
    except changes.AliasRefused as error:
        raise HttpError(400, str(error)) from None


def _loaded() -> str:
    return team.model()
