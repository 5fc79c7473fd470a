"""Answers in TabbyAPI's form: refusals, validation errors, model cards."""

from __future__ import annotations

import time
from typing import Any

import orjson
from aiohttp import web

from .config import ModelSpec
from .parameters import BATCH, Parameters

NOTHING_LOADED = "No models are currently loaded."
NO_TEMPLATE = "Chat completions are disabled because a prompt template is not set."
_OPTIONS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "max_seq_len": ("int", int),
    "cache_size": ("int", int),
    "chunk_size": ("int", int),
    "cache_mode": ("string", str),
    "prompt_template": ("string", str),
    "tensor_parallel": ("bool", bool),
    "gpu_split_auto": ("bool", bool),
    "vision": ("bool", bool),
    "skip_queue": ("bool", bool),
    "rope_scale": ("float", (int, float)),
    "rope_alpha": ("float", (int, float, str)),
    "gpu_split": ("list", list),
    "autosplit_reserve": ("list", list),
    "draft_model": ("dict", dict),
}


class Refusal(Exception):
    """The request is answered with an error. `detail` None is the plain-text 500 of an unhandled error."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def response(self) -> web.Response:
        if self.detail is None:
            return web.Response(status=500, text="Internal Server Error")
        if isinstance(self.detail, dict):
            return json_response(self.detail, self.status)
        return json_response({"detail": self.detail}, self.status)


def crash() -> Refusal:
    """Return the answer that an unhandled error in TabbyAPI leads to."""
    return Refusal(500, None)


def json_response(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def invalid(kind: str, where: list[str | int], message: str, given: Any = None) -> Refusal:
    """Return a 422 as FastAPI words it: `detail` is a list."""
    return Refusal(422, [{"type": kind, "loc": ["body", *where], "msg": message, "input": given}])


def require_object(body: Any) -> dict[str, Any]:
    if isinstance(body, dict):
        return body
    raise invalid("model_attributes_type", [], "Input should be a valid dictionary or object", body)


def require_load_options(body: dict[str, Any]) -> None:
    """Raise Refusal(422) for a load whose fields have the wrong types."""
    if "model_name" not in body:
        raise invalid("missing", ["model_name"], "Field required", body)
    if not isinstance(body["model_name"], str):
        raise invalid("string_type", ["model_name"], "Input should be a valid string", body["model_name"])
    for key, (kind, types) in _OPTIONS.items():
        value = body.get(key)
        wrong_bool = isinstance(value, bool) and kind != "bool"
        if value is not None and (wrong_bool or not isinstance(value, types)):
            raise invalid(f"{kind}_type", [key], f"Input should be a valid {kind}", value)


def require_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a chat, checked as far as TabbyAPI checks them. Raises Refusal(422)."""
    if "messages" not in body:
        raise invalid("missing", ["messages"], "Field required", body)
    messages = body["messages"]
    if not isinstance(messages, list):
        raise invalid("list_type", ["messages"], "Input should be a valid list", messages)
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise invalid("dict_type", ["messages", index], "Input should be a valid dictionary", message)
    return messages


def context_too_long(message: str) -> Refusal:
    error = {"message": message, "type": "invalid_request_error", "param": None}
    return Refusal(400, {"error": {**error, "code": "context_length_exceeded"}})


def card(name: str) -> dict[str, Any]:
    """Return an entry of the model list. `created` is the time of the request, as in TabbyAPI."""
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "tabbyAPI",
        "logging": None,
        "parameters": None,
    }


def loaded_card(model: ModelSpec, shown: Parameters) -> dict[str, Any]:
    """Return the card of GET /v1/model: what is loaded, and its parameters. It never shows a draft model."""
    template = shown.prompt_template
    parameters = {
        "max_seq_len": shown.max_seq_len,
        "cache_size": shown.cache_size,
        "cache_mode": shown.cache_mode,
        "rope_scale": 1.0,
        "rope_alpha": 1.0,
        "max_batch_size": BATCH,
        "chunk_size": shown.chunk_size,
        "prompt_template": template or None,
        "prompt_template_content": "{% for message in messages %}{{ message['content'] }}{% endfor %}"
        if template
        else None,
        "use_vision": shown.use_vision,
        "draft": None,
    }
    logging = {"log_prompt": False, "log_generation_params": False, "log_requests": False}
    return {**card(model.name), "logging": logging, "parameters": parameters}
