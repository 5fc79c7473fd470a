"""The HTTP API: its routers, and its answers to errors.

Errors are `{"detail": "…"}` with one string for people. The answers that each module declares become the OpenAPI document at
/api/openapi.json, and that the page at /api/docs.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja.errors import ValidationError

from models_admin.api.add_routes import router as additions
from models_admin.api.alias_routes import router as aliases
from models_admin.api.auth import signed_in
from models_admin.api.base import Api, server_error
from models_admin.api.model_routes import router as models
from models_admin.api.report_routes import router as reports
from models_admin.api.rollout_routes import router as rollouts
from models_admin.api.server_routes import router as servers
from models_admin.api.setup_routes import router as setup
from models_admin.api.switch_routes import router as switches
from models_admin.api.usage_routes import router as usage
from models_admin.tabby.errors import sentence

ABOUT = """\
Gantry stands in front of a TabbyAPI server, which runs one model at a time, and changes that model while people go on \
chatting. This API shows models, switches and aliases of models, and makes them.

Every error is `{"detail": "…"}`, a sentence for people. Send the cookie `session_id` of a session that is signed in, \
or, where an operation names it, a token as `Authorization: Bearer …`. Conversations belong to people: they take no tokens.
"""

api = Api(title="Gantry", version="1", description=ABOUT, docs_url=None, auth=signed_in)
api.add_router("", models, tags=["models"])
api.add_router("", additions, tags=["models"])
api.add_router("", reports, tags=["models"])
api.add_router("", setup, tags=["models"])
api.add_router("", switches, tags=["switches"])
api.add_router("", rollouts, tags=["switches"])
api.add_router("", servers, tags=["servers"])
api.add_router("", usage, tags=["usage"])
api.add_router("", aliases, tags=["aliases"])


@api.exception_handler(ValidationError)
def _explain(request: HttpRequest, error: Any) -> HttpResponse:
    words = []
    for each in error.errors:
        place = each["loc"][2:] if each["loc"][0] == "body" else each["loc"][1:]
        where = ".".join(str(part) for part in place) or "the body"
        words.append(f"{where}: {each['msg']}")
    example = (
        ' Send JSON such as {"model_id": "Llama-3.1-8B-Instruct"}.'
        if request.path.endswith("/switch")
        else ""
    )
    detail = sentence("; ".join(words)) + example
    return api.create_response(request, {"detail": detail[:1000]}, status=422)


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: Exception) -> HttpResponse:
    return api.create_response(request, {"detail": "The body is too big."}, status=413)


api.exception_handler(Exception)(server_error)
