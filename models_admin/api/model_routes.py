"""/api/models for everybody, /api/admin/models for administrators: which models there are, and which is loaded."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from models_admin.api.auth import require, to_read, to_switch
from models_admin.api.schemas import Active, Models, ModelsFacts, Refreshed, problems
from models_admin.automation import upkeep
from models_admin.models import TabbyModel
from models_admin.permissions import LOOKING, OWN, may_see_history
from models_admin.presentation import team_snapshots
from models_admin.servers import catalog, known, state_row, team

router = Router()


def visible_to(user: Any) -> QuerySet[TabbyModel]:
    """Return the models in TabbyAPI that a user may see: all, or without a permission those that are offered in chat."""
    if may_see_history(user):
        return TabbyModel.objects.filter(vanished_at=None)
    return TabbyModel.offered().filter(visible=True)


def _facts(row: TabbyModel, active: str) -> dict[str, Any]:
    return {
        "id": row.name,
        "name": str(row),
        "active": row.name == active,
        "tags": row.tags,
        "notes": row.notes,
        "parameters_b": row.parameters_b,
        "quantization": row.quantization,
        "visible": row.visible,
    }


@router.get(
    "/models", auth=to_read, response={200: ModelsFacts, **problems()}, operation_id="list_models_in_chat"
)
def in_chat(request: HttpRequest) -> dict[str, Any]:
    """List the models that you are shown in chat, with what is noted about each. Any user may."""
    active = team.model()
    shown = visible_to(request.user).filter(retired_at=None)
    return {"models": [_facts(each, active) for each in shown]}


@router.get(
    "/models/active", auth=to_read, response={200: Active, **problems()}, operation_id="show_active_model"
)
def active(request: HttpRequest) -> dict[str, Any]:
    """Show which model is loaded. Any user may."""
    now = team_snapshots.current()
    row = visible_to(request.user).filter(name=now["model"]).first()
    facts = _facts(row, now["model"]) if row else None
    return {
        "state": now["state"],
        "model": facts,
        "loaded_at": now["loaded_at"] if facts else None,
        "context": now["context"] if facts else None,
        "busy_with": _visible_name(request.user, now["busy_with"]),
    }


def _visible_name(user: Any, name: str) -> str | None:
    """Return the name of a model, if this user may see it."""
    return name if name and visible_to(user).filter(name=name).exists() else None


@router.get("/admin/models", auth=to_read, response={200: Models, **problems()}, operation_id="list_models")
def models(request: HttpRequest) -> dict[str, Any]:
    """List the models in TabbyAPI's catalog that are not retired, and say which one is loaded."""
    require(request, *LOOKING)
    if catalog.stale(known.default()) and state_row.row(known.default()).unreachable_since is None:
        upkeep.try_to_refresh(known.default())
    active = team.model()
    return {
        "models": [
            {"id": each.name, "name": str(each), "active": each.name == active}
            for each in TabbyModel.offered()
        ]
    }


@router.post(
    "/admin/models/refresh",
    auth=to_switch,
    response={200: Refreshed, **problems(502)},
    operation_id="refresh_models",
)
def refresh(request: HttpRequest) -> dict[str, Any]:
    """Ask TabbyAPI for its models now, and for what is loaded. (Gantry does so by itself every REFRESH_INTERVAL.)"""
    require(request, *OWN)
    found = upkeep.refresh_all()
    if found.error:
        raise HttpError(502, f"The list is as it was: {found.error} {found.error.advice}".strip())
    return {"added": found.added, "vanished": found.vanished}
