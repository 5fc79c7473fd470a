"""Writes models_admin/static/shared/schema.d.ts, types for the pages' scripts, from models_admin/page_schema.py and chat's.

`make types` runs it; tests/system/test_page_types.py fails where the file is not up to date.
"""

from __future__ import annotations

import builtins
import enum
import json
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typing_extensions

FILE = Path(__file__).parents[2] / "models_admin/static/shared/schema.d.ts"
HEAD = """\
// What pages are sent and what they send: made by `make types` from models_admin/page_schema.py and chat/page_schema.py.
// Whatever is to be changed is changed there.
"""
NAMES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


def written() -> str:
    """The whole file."""
    from chat import page_schema as of_chat
    from models_admin import page_schema as of_models

    parts = [HEAD]
    for module in (of_models, of_chat):
        for name, what in vars(module).items():
            if typing_extensions.is_typeddict(what) and what.__module__ == module.__name__:
                parts.append("\n".join(_interface(what)))
            elif isinstance(what, types.UnionType):
                parts.append(f"export type {name} = {_type(what)};")
    return "\n\n".join(parts) + "\n"


def _interface(described: Any) -> Iterator[str]:
    bases = [
        base
        for base in typing_extensions.get_original_bases(described)
        if base is not typing_extensions.TypedDict
    ]
    fields = typing_extensions.get_type_hints(described, include_extras=True)
    inherited = {name for base in bases for name in typing_extensions.get_type_hints(base)}
    if described.__doc__:
        yield f"/** {' '.join(described.__doc__.split())} */"
    extends = f" extends {', '.join(base.__name__ for base in bases)}" if bases else ""
    yield f"export interface {described.__name__}{extends} {{"
    for name, kind in fields.items():
        if name in inherited:
            continue
        if words := _description(kind):
            yield f"  /** {words} */"
        mark = "?" if typing.get_origin(kind) is typing_extensions.NotRequired else ""
        yield f"  {name}{mark}: {_type(kind)};"
    yield "}"


def _description(kind: Any) -> str:
    found = (getattr(each, "description", None) for each in getattr(kind, "__metadata__", ()))
    return next((words for words in found if words), "")


def _type(kind: Any) -> str:
    """The TypeScript for a Python type."""
    inner = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Annotated | typing_extensions.NotRequired:
            return _type(inner[0])
        case typing.Literal:
            return " | ".join(json.dumps(each) for each in inner)
        case types.UnionType | typing.Union:
            return " | ".join(_type(each) for each in inner)
        case builtins.list:
            return f"{_type(inner[0])}[]"
        case builtins.dict:
            return f"Record<string, {_type(inner[1])}>"
    return NAMES.get(kind) or _name(kind)


def _name(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(json.dumps(each.value) for each in kind)
    assert typing_extensions.is_typeddict(kind), f"no TypeScript for {kind}"
    return str(kind.__name__)


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
    django.setup()
    FILE.write_text(written())
