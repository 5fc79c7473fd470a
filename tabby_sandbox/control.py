"""/sandbox/: tests and benchmarks control the sandbox here, and read its state. Loopback only, no key."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from .config import ConfigError, ModelSpec, parse_model
from .faults import FaultError, parse_fault
from .sandbox import SANDBOX, Sandbox
from .wire import Refusal, json_response

STATE_KEYS = {
    *("models", "add_models", "remove_models", "token_rate", "at_once", "seconds_per_module"),
    *("issues", "disable_request_streaming", "loaded", "options", "hub"),
}


async def add_fault(request: web.Request) -> web.Response:
    """Queue one fault, or a list of them."""
    data = await _json(request)
    faults = request.app[SANDBOX].faults
    try:
        parsed = [parse_fault(item) for item in (data if isinstance(data, list) else [data])]
    except FaultError as error:
        raise Refusal(400, str(error)) from error
    for fault in parsed:
        faults.add(fault)
    return json_response({"faults": faults.pending()})


async def get_faults(request: web.Request) -> web.Response:
    return json_response({"faults": request.app[SANDBOX].faults.pending()})


async def clear_faults(request: web.Request) -> web.Response:
    faults = request.app[SANDBOX].faults
    faults.clear()
    return json_response({"faults": []})


async def get_log(request: web.Request) -> web.Response:
    path = request.query.get("path")
    return json_response({"requests": request.app[SANDBOX].journal.as_json(path)})


async def clear_log(request: web.Request) -> web.Response:
    request.app[SANDBOX].journal.clear()
    return json_response({"requests": []})


async def get_state(request: web.Request) -> web.Response:
    return json_response(_state(request.app[SANDBOX]))


async def reset(request: web.Request) -> web.Response:
    sandbox = request.app[SANDBOX]
    sandbox.reset()
    return json_response(_state(sandbox))


async def change_state(request: web.Request) -> web.Response:
    """Change what the body has, in this order: models, rates, issues, streaming, restart, loaded."""
    sandbox = request.app[SANDBOX]
    data = await _json(request)
    if not isinstance(data, dict):
        raise Refusal(400, "The state is an object.")
    if unknown := set(data) - STATE_KEYS - {"restart"}:
        raise Refusal(400, f"Unknown key {min(unknown)}. Known: {', '.join(sorted(STATE_KEYS))}, restart.")
    try:
        _change_models(sandbox, data)
        sandbox.hub.change(data.get("hub", {}))
    except (ConfigError, ValueError) as error:
        raise Refusal(400, str(error)) from error
    engine = sandbox.engine
    if "token_rate" in data:
        engine.token_rate = data["token_rate"]
    if "at_once" in data:
        engine.at_once = data["at_once"]
    if "seconds_per_module" in data:
        seconds = data["seconds_per_module"]
        given: dict[str, float] = (
            seconds if isinstance(seconds, dict) else dict.fromkeys(engine.models, float(seconds))
        )
        engine.set_module_seconds({_find_model(sandbox, name).name: value for name, value in given.items()})
    if "issues" in data:
        engine.issues = [str(issue) for issue in data["issues"]]
    if "disable_request_streaming" in data:
        engine.streams = not data["disable_request_streaming"]
    if data.get("restart"):
        sandbox.hang_up_all()
        engine.replace_loaded(None)
    if "loaded" in data:
        model = _find_model(sandbox, data["loaded"]) if data["loaded"] is not None else None
        engine.replace_loaded(model, data.get("options"))
    return json_response(_state(sandbox))


def _change_models(sandbox: Sandbox, data: dict[str, Any]) -> None:
    models = sandbox.engine.models
    if "models" in data:
        specs = [_spec(models, item) for item in data["models"]]
        models.clear()
        models.update({spec.name: spec for spec in specs})
    models.update({spec.name: spec for spec in (_spec(models, item) for item in data.get("add_models", []))})
    for name in data.get("remove_models", []):
        models.pop(name, None)


def _spec(models: dict[str, ModelSpec], item: Any) -> ModelSpec:
    """Return the model that `item` names (a new, plain one if there is none), or describes as in the TOML."""
    if isinstance(item, str):
        return models.get(item) or parse_model({"name": item})
    if isinstance(item, dict):
        return parse_model(item)
    raise ConfigError("A model is a name or an object.")


def _find_model(sandbox: Sandbox, name: Any) -> ModelSpec:
    model = sandbox.engine.models.get(name)
    if model is None:
        raise Refusal(400, f"There is no model {name!r}. There are: {', '.join(sandbox.engine.models)}.")
    return model


def _state(sandbox: Sandbox) -> dict[str, Any]:
    engine = sandbox.engine
    return {
        "loaded": engine.loaded.name if engine.loaded else None,
        "options": engine.options,
        "phase": engine.phase,
        "loading": engine.loading,
        "queued_loads": engine.queued,
        "generations": [
            {"model": item.model.name, "tokens": item.tokens, "started_at": item.started_at}
            for item in engine.generations
        ],
        "open_requests": len(sandbox.calls),
        "models": list(engine.models),
        "downloads": sandbox.hub.downloads,
        "token_rate": engine.token_rate,
        "at_once": engine.at_once,
        "issues": engine.issues,
        "faults": sandbox.faults.pending(),
    }


async def _json(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON: {error}.") from error
