"""/api/admin/models/add: have TabbyAPI download a model, follow that, cancel it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status
from ninja.errors import HttpError

from models_admin.adding import transitions, words
from models_admin.adding.words import Download
from models_admin.api.auth import require, to_read, to_switch
from models_admin.api.schemas import LARGEST_ID, AddModel, problems
from models_admin.models import ModelDownload, Source
from models_admin.permissions import LOOKING
from models_admin.servers import known

router = Router()

LOCATION = {"Location": {"description": "Where to follow it.", "schema": {"type": "string"}}}


@router.post(
    "/admin/models/add",
    auth=to_switch,
    response={202: Download, **problems(400, 409, 413, 422)},
    operation_id="add_model",
    openapi_extra={"responses": {202: {"headers": LOCATION}}},
)
def add(request: HttpRequest, body: AddModel, response: HttpResponse) -> Any:
    """Have TabbyAPI download a repository of its hub into its model folder.

    A worker holds the request until it is done; the model is listed then. The token is kept nowhere but in memory, until the
    download has ended.
    """
    require(request, "manage")
    wanted = transitions.Wanted(body.repository, body.folder, body.revision, tuple(body.include))
    try:
        asked = transitions.request(
            known.default(), wanted, source=Source.API, user=request.user, token=body.token.get_secret_value()
        )
    except transitions.FolderTaken as error:
        raise HttpError(409, str(error)) from None
    except transitions.AddRefused as error:
        raise HttpError(400, str(error)) from None
    response.headers["Location"] = reverse("api-1:download", kwargs={"download_id": asked.pk})
    return Status(202, words.describe(asked))


@router.get(
    "/admin/models/add/{int:download_id}",
    auth=to_read,
    response={200: Download, **problems(404)},
    url_name="download",
    operation_id="show_download",
)
def show(request: HttpRequest, download_id: int) -> Download:
    """Show how far a download is, or how it ended."""
    require(request, *LOOKING)
    return words.describe(_found(download_id))


@router.delete(
    "/admin/models/add/{int:download_id}",
    auth=to_switch,
    response={200: Download, **problems(404, 409)},
    operation_id="cancel_download",
)
def cancel(request: HttpRequest, download_id: int) -> Download:
    """Cancel a download: TabbyAPI then deletes what has come."""
    require(request, "manage")
    try:
        transitions.cancel(_found(download_id), user=request.user)
    except transitions.AddRefused as error:
        raise HttpError(409, str(error)) from None
    return words.describe(_found(download_id))


def _found(download_id: int) -> ModelDownload:
    row = ModelDownload.objects.select_related("requested_by").filter(pk=min(download_id, LARGEST_ID)).first()
    if row is None:
        raise HttpError(404, f"There is no download number {download_id}.")
    return row
