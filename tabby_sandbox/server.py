"""The aiohttp application: its routes, its middleware, and the endpoints that only read or change templates."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from . import chat, completions, control, downloads, embeddings, loads
from .auth import permission, require_admin, require_api, require_permission
from .config import Config
from .fault_effects import fault_response
from .faults import ENDPOINTS
from .sandbox import CALL, NOT_JSON, SANDBOX, Call, Sandbox
from .wire import NOTHING_LOADED, Refusal, card, crash, json_response, loaded_card

_LOOPBACK = {"127.0.0.1", "::1"}
_STREAMS = {"load", "chat", "completions"}


def build(config: Config) -> web.Application:
    """Return the application; run it with `handler_cancellation=True`, or it never learns that a client has gone."""
    app = web.Application(middlewares=[_handle_request], client_max_size=64 << 20)
    app[SANDBOX] = Sandbox(config)
    app.add_routes(
        [
            web.get("/health", health),
            web.get("/v1/auth/permission", key_permission),
            web.get("/v1/models", models),
            web.get("/v1/model/list", models),
            web.get("/v1/model/draft/list", draft_models),
            web.get("/v1/model", current),
            web.get("/v1/templates", templates),
            web.get("/v1/template/list", templates),
            web.post("/v1/template/switch", switch_template),
            web.post("/v1/template/unload", unload_template),
            web.post("/v1/model/load", loads.load),
            web.post("/v1/model/unload", loads.unload),
            web.post("/v1/download", downloads.download),
            web.post("/v1/chat/completions", chat.completions),
            web.post("/v1/completions", completions.completions),
            web.post("/v1/embeddings", embeddings.embeddings),
            web.post("/sandbox/fault", control.add_fault),
            web.get("/sandbox/fault", control.get_faults),
            web.delete("/sandbox/fault", control.clear_faults),
            web.get("/sandbox/log", control.get_log),
            web.delete("/sandbox/log", control.clear_log),
            web.get("/sandbox/state", control.get_state),
            web.post("/sandbox/state", control.change_state),
            web.post("/sandbox/reset", control.reset),
        ]
    )
    return app


@web.middleware
async def _handle_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record each request, and answer it with its fault or by its handler."""
    if request.path.startswith("/sandbox/"):
        if request.remote not in _LOOPBACK:
            return json_response({"detail": "The control endpoints answer to this machine only."}, 403)
        return await _answer(request, handler)
    sandbox = request.app[SANDBOX]
    body = _parse(await request.read())
    record = sandbox.journal.open(
        request.method, request.path, list(request.headers), None if body is NOT_JSON else body
    )
    endpoint = ENDPOINTS.get(request.path, "")
    named = body.get("model_name") if isinstance(body, dict) else None
    fault = sandbox.faults.take(endpoint, named) if endpoint else None
    record.fault = fault.kind if fault else None
    call = Call(sandbox, request, body, record, fault)
    request[CALL] = call
    sandbox.calls.add(call)
    try:
        response: web.StreamResponse | None = await fault_response(call, streams=endpoint in _STREAMS)
        response = response if response is not None else await _answer(request, handler)
    except asyncio.CancelledError:
        record.end("disconnected")
        raise
    finally:
        sandbox.calls.discard(call)
    record.status = response.status
    record.end("completed" if response.status < 400 else "refused")
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPException as error:
        return json_response({"detail": error.reason}, error.status)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else NOT_JSON
    except orjson.JSONDecodeError:
        return NOT_JSON


async def health(request: web.Request) -> web.Response:
    """Answer with the issues; this takes no key. Issues never clear; a failed load is none."""
    issues = request.app[SANDBOX].engine.issues
    now = datetime.now(UTC).isoformat()
    listed = [{"time": now, "description": issue} for issue in issues]
    status = "unhealthy" if issues else "healthy"
    return json_response({"status": status, "issues": listed}, 503 if issues else 200)


async def key_permission(request: web.Request) -> web.Response:
    call = _read(request)
    granted = permission(call.sandbox.config.auth, request.headers)
    if granted is None:
        raise Refusal(400, "The provided authentication key is invalid.")
    return json_response({"permission": granted})


async def models(request: web.Request) -> web.Response:
    """List all models for an administrator, only the loaded one for an API key."""
    call = _read(request)
    engine = call.sandbox.engine
    if require_permission(call.sandbox.config.auth, request.headers) == "admin":
        names = engine.names()
    else:
        names = [engine.loaded.name] if engine.loaded else []
    cards = [card(name) for name in (*call.sandbox.config.server.dummy_models, *names)]
    return json_response({"object": "list", "data": cards})


async def current(request: web.Request) -> web.Response:
    call = _read(request)
    engine = call.sandbox.engine
    if engine.loaded is None or engine.parameters is None:
        raise Refusal(503, NOTHING_LOADED)
    return json_response(loaded_card(engine.loaded, engine.parameters))


async def draft_models(request: web.Request) -> web.Response:
    """List the draft models for an administrator, none for an API key."""
    call = _read(request)
    admin = require_permission(call.sandbox.config.auth, request.headers) == "admin"
    names = call.sandbox.engine.drafts() if admin else []
    return json_response({"object": "list", "data": [card(name) for name in names]})


async def templates(request: web.Request) -> web.Response:
    """List the server's templates for an administrator, only the one in use for an API key."""
    call = _read(request)
    shown = call.sandbox.engine.parameters
    if require_permission(call.sandbox.config.auth, request.headers) == "admin":
        names = list(call.sandbox.config.server.templates)
    else:
        names = [shown.prompt_template] if shown and shown.prompt_template else []
    return json_response({"object": "list", "data": names})


async def switch_template(request: web.Request) -> web.Response:
    """Give the loaded model another template; an unknown name is a plain 500."""
    call = _change(request)
    name = call.body().get("prompt_template_name")
    if not name:
        raise Refusal(400, "New template name not found.")
    if name not in call.sandbox.config.server.templates:
        raise crash()
    call.sandbox.engine.set_template(name)
    return json_response(None)


async def unload_template(request: web.Request) -> web.Response:
    """Take the loaded model's template away: every chat is refused from now on."""
    _change(request).sandbox.engine.set_template("")
    return json_response(None)


def _change(request: web.Request) -> Call:
    call = request[CALL]
    require_admin(call.sandbox.config.auth, request.headers)
    call.record.permission = "admin"
    if call.sandbox.engine.loaded is None:
        raise Refusal(503, NOTHING_LOADED)
    return call


def _read(request: web.Request) -> Call:
    call = request[CALL]
    auth = call.sandbox.config.auth
    require_api(auth, request.headers)
    call.record.permission = permission(auth, request.headers)
    return call
