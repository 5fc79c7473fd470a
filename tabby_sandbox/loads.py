"""POST /v1/model/load and /v1/model/unload."""

from __future__ import annotations

from aiohttp import web

from .auth import require_admin
from .fault_effects import BREAKS, break_stream, garbage_event
from .sandbox import CALL, Call
from .sse import json_event
from .wire import NOTHING_LOADED, Refusal, crash, invalid, json_response, require_load_options
from .work import Busy, Load


async def load(request: web.Request) -> web.StreamResponse:
    """Answer with 200 and a stream of progress, even when the load fails. Raises Refusal for what is wrong before it."""
    call = request[CALL]
    call.require_json()
    require_admin(call.sandbox.config.auth, request.headers)
    call.record.permission = "admin"
    body = call.body()
    require_load_options(body)
    if not body["model_name"]:
        raise Refusal(400, "A model name was not provided for load.")
    if (draft := body.get("draft_model")) is not None:
        if "draft_model_name" not in draft:
            raise invalid("missing", ["draft_model", "draft_model_name"], "Field required", draft)
        if not draft["draft_model_name"]:
            raise Refusal(400, "Could not find the draft model name for model load.")
    model = call.sandbox.engine.find(body["model_name"])
    if model is None:
        raise Refusal(400, "Could not find the model path for load. Check model name or config.yml?")
    options = {key: value for key, value in body.items() if key != "model_name" and value is not None}
    running = call.sandbox.engine.start_load(model, options, call.fault)
    call.record.model = model.name
    call.record.events = running.history
    return await _stream(call, running)


async def _stream(call: Call, running: Load) -> web.StreamResponse:
    fault = call.fault
    breaks = fault.at if fault and fault.kind in BREAKS | {"garbage"} else None
    stream = call.stream()
    await stream.open()
    sent = 0
    try:
        while (data := await running.events.get()) is not None:
            if fault and fault.kind == "empty":
                break
            if sent == breaks and fault and fault.kind == "garbage":
                stream.write(garbage_event(call))
            elif sent == breaks:
                return await break_stream(call, stream, json_event(data))
            stream.write(json_event(data))
            sent += 1
        call.record.end("failed" if running.failed else "completed")
        return await stream.end()
    finally:
        stream.close()


async def unload(request: web.Request) -> web.Response:
    """Answer with 200 `null` after the unload. Refusal: 503 with nothing loaded or during a load, 500 while one waits."""
    call = request[CALL]
    require_admin(call.sandbox.config.auth, request.headers)
    call.record.permission = "admin"
    engine = call.sandbox.engine
    call.record.model = engine.loaded.name if engine.loaded else None
    try:
        await engine.unload()
    except Busy as busy:
        raise (Refusal(503, NOTHING_LOADED) if busy.status == 503 else crash()) from busy
    return json_response(None)
