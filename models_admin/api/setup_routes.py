"""/api/admin/setup: what is set up, as one document. And the retirement of models, which nobody is offered any more."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.errors import HttpError

from models_admin.api.auth import require, to_read, to_switch
from models_admin.api.schemas import ModelId, Retirement, SetupChanges, problems
from models_admin.models import TabbyModel
from models_admin.setup import exporting, importing, retirement
from models_admin.setup.document import SetupRefused, read
from models_admin.switching import admin_log

router = Router()

DOCUMENT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}


@router.get(
    "/admin/setup",
    auth=to_read,
    response=problems(),
    operation_id="export_setup",
    openapi_extra={
        "responses": {200: {"description": "As `manage.py export_setup` writes it.", "content": DOCUMENT}}
    },
)
def export(request: HttpRequest) -> HttpResponse:
    """Return what is set up: notes, tags and options of models, aliases, rules, checks, groups' permissions. No secrets."""
    require(request, "manage")
    return HttpResponse(exporting.written(), content_type="application/json; charset=utf-8")


@router.post(
    "/admin/setup",
    auth=to_switch,
    response={200: SetupChanges, **problems(400, 413, 422)},
    operation_id="import_setup",
    openapi_extra={"requestBody": {"content": DOCUMENT, "required": True}},
)
def bring_in(
    request: HttpRequest,
    dry_run: Annotated[bool, Query(description="Change nothing, and list what would change.")] = False,
) -> dict[str, Any]:
    """Bring a document in, whole or not at all. Nothing is deleted, and what it does not name stays as it is."""
    require(request, "manage")
    try:
        with transaction.atomic():
            made = importing.bring_in(
                read(request.body), request.user.pk, dry_run=dry_run, may=importing.sections_of(request.user)
            )
            if made and not dry_run:
                importing.write_log(made, request.user.pk or 0)
    except SetupRefused as refusal:
        raise HttpError(400, " ".join(refusal.faults)) from None
    return {"dry_run": dry_run, "changes": [asdict(each) for each in made]}


@router.post(
    "/admin/models/retire",
    auth=to_switch,
    response={200: Retirement, **problems(400, 404, 409, 413, 422)},
    operation_id="retire_model",
)
def retire(
    request: HttpRequest,
    body: ModelId,
    dry_run: Annotated[bool, Query(description="Retire nothing, and say what would be lost.")] = False,
) -> dict[str, Any]:
    """Have nobody be offered a model any more, and nothing load it. Its files stay: the answer says where they are."""
    require(request, "manage")
    row, lost = _found(body.model_id), retirement.losses(body.model_id)
    if not dry_run:
        try:
            retirement.retire(row.name)
            admin_log.write_about_model(row.pk, "Retired.", request.user.pk)
        except retirement.InUse as error:
            raise HttpError(409, str(error)) from None
    return _described(row, lost)


@router.post(
    "/admin/models/restore",
    auth=to_switch,
    response={200: Retirement, **problems(400, 404, 413, 422)},
    operation_id="restore_model",
)
def restore(request: HttpRequest, body: ModelId) -> dict[str, Any]:
    """Bring a retired model back, as it was. One that is not retired stays as it is, which is a success."""
    require(request, "manage")
    row = _found(body.model_id)
    retirement.restore(row.name)
    admin_log.write_about_model(row.pk, "Brought back.", request.user.pk)
    return _described(row, retirement.losses(row.name))


def _described(row: TabbyModel, lost: retirement.Losses) -> dict[str, Any]:
    row.refresh_from_db(fields=["retired_at"])
    files = asdict(retirement.files(row))
    return {"model_id": row.name, "retired": row.retired_at is not None, **asdict(lost), "files": files}


def _found(name: str) -> TabbyModel:
    row = TabbyModel.objects.filter(name=name).first()
    if row is None:
        raise HttpError(404, f"There is no model “{name}”. GET /api/admin/models lists those that there are.")
    return row
