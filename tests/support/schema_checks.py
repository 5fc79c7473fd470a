"""Whether what a page is told, and what it sends, is as models_admin/page_schema.py and chat/page_schema.py describe it.

A field that is missing, one too many, or one of a wrong type is an AssertionError: from the real server, so that pages are
told what is described, and from a played one, so that pages are tested with what they are really told.
"""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from django.urls import resolve
from pydantic import TypeAdapter, ValidationError
from typing_extensions import get_type_hints


def event(text: str | bytes, path: str) -> dict[str, Any]:
    """What a socket of this path told its page, after a check."""
    from chat.page_schema import ChatEvent
    from models_admin.page_schema import ModelsEvent

    return _checked(text, ModelsEvent if path == "/ws/models/" else ChatEvent)


def frame(text: str | bytes) -> dict[str, Any]:
    """What a page sent to its socket, after a check."""
    from chat.page_schema import ChatFrame

    return _checked(text, ChatFrame)


def value(described: Any, known: Any) -> Any:
    """The value itself, after a check against a type of the schema."""
    _validate(TypeAdapter(described), json.dumps(known), f"this is no {described.__name__}")
    return known


def answer(method: str, path: str, status: int, body: Any) -> None:
    """Check what a played server answers to a call of the HTTP API."""
    if status >= 400:
        assert body.keys() == {"detail"}, body
        assert isinstance(body["detail"], str), body
        return
    view = inspect.unwrap(resolve(path.partition("?")[0]).func)
    operations = inspect.getclosurevars(view).nonlocals["self"].operations
    operation = next(each for each in operations if method in each.methods)
    assert status in operation.response_models, f"{method} {path} never answers with {status}"
    model = operation.response_models[status]
    if model is None:
        assert body is None, body
    else:
        _validate(TypeAdapter(model), json.dumps({"response": body}), f"{method} {path} never answers so")


def _checked(text: str | bytes, union: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(text)
    adapters = _by_type(union)
    assert told.get("type") in adapters, f"nothing is described that has the type of {told}"
    _validate(adapters[told["type"]], text, f"this {told['type']!r} is not as it is described")
    return told


@cache
def _by_type(union: Any) -> dict[str, TypeAdapter[Any]]:
    """What checks an event, by its `type`; pydantic's words are then only about events of that type."""
    members = defaultdict(list)
    for member in get_args(union):
        kind = get_type_hints(member)["type"]
        assert get_origin(kind) is Literal
        for name in get_args(kind):
            members[name].append(member)
    return {name: TypeAdapter(Union[tuple(found)]) for name, found in members.items()}  # noqa: UP007 (of a tuple)


def _validate(adapter: TypeAdapter[Any], text: str | bytes, otherwise: str) -> None:
    try:
        adapter.validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise AssertionError(f"{otherwise}: {words}") from None
