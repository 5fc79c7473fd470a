"""/api/admin/servers: which TabbyAPI servers there are, and which of several are given replies."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from models_admin.api.auth import require, to_read, to_switch
from models_admin.api.schemas import Server, Servers, TakeOut, problems
from models_admin.permissions import LOOKING
from models_admin.presentation import server_facts
from models_admin.servers import known
from models_admin.switching import service

router = Router()


@router.get(
    "/admin/servers", auth=to_read, response={200: Servers, **problems()}, operation_id="list_servers"
)
def servers(request: HttpRequest) -> dict[str, Any]:
    """List the TabbyAPI servers in the order of TABBY_HOST, with what each runs and does."""
    require(request, *LOOKING)
    return {"servers": server_facts.describe_all()}


@router.post(
    "/admin/servers/{str:name}/out",
    auth=to_switch,
    response={200: Server, **problems(400, 404, 409, 413, 422)},
    operation_id="take_server_out",
)
def take_out(request: HttpRequest, name: str, body: TakeOut | None = None) -> server_facts.ServerFacts:
    """Give a server no more replies. Those in flight finish there, and it can be switched meanwhile.

    A server that is out already stays so, which is a success. The last one that answers is taken out only by force.
    """
    require(request, "switch")
    server, how = _found(name), body or TakeOut()
    try:
        service.take_out(server, user_id=request.user.pk, forced=how.force, let_go=how.let_go)
    except service.LastInService as error:
        raise HttpError(409, f'{error} Send {{"force": true}} to take it out all the same.') from None
    return server_facts.describe(server)


@router.post(
    "/admin/servers/{str:name}/in",
    auth=to_switch,
    response={200: Server, **problems(404)},
    operation_id="put_server_back",
)
def put_back(request: HttpRequest, name: str) -> server_facts.ServerFacts:
    """Give a server replies again. One that is in service already stays so, which is a success."""
    require(request, "switch")
    server = _found(name)
    service.put_back(server, user_id=request.user.pk)
    return server_facts.describe(server)


def _found(name: str) -> int:
    server = known.find(name)
    if server is None:
        raise HttpError(404, known.none_of(name))
    return server
