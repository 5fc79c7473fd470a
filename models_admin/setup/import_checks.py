"""Brings the checks of a document in, each by its name, within the bounds of checks/bounds.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models_admin.checks import bounds
from models_admin.models import Check
from models_admin.setup import exporting
from models_admin.setup.document import CheckPart, Found, SetupRefused, differences, place
from models_admin.tabby.wire import usable_name

# What a field may hold; each raises ValueError. Those that are empty, or null, hold nothing.
BOUNDS: Mapping[str, Callable[[Any], Any]] = {
    "sampling": bounds.options,
    "tools": bounds.tools,
    "image": bounds.image,
    "matches": bounds.pattern,
    "json_schema": bounds.json_schema,
}


def bring_checks(wanted: Mapping[str, CheckPart]) -> Found:
    """Make and change checks; yield (place, before, after). Raises SetupRefused."""
    known = Check.objects.in_bulk(list(wanted), field_name="name")
    if Check.objects.count() + len(wanted) - len(known) > bounds.MOST_CHECKS:
        raise SetupRefused([f"checks: there may be {bounds.MOST_CHECKS} of them in all."])
    for name, part in sorted(wanted.items()):
        said = _said(name, part)
        row = known.get(name)
        before = exporting.check(row) if row else None
        row = row or Check(name=name)
        for field, value in said.items():
            setattr(row, field, value)
        if not row.prompt.strip():
            raise SetupRefused([f"{place('checks', name, 'prompt')}: a check needs one."])
        after = exporting.check(row)
        if before != after:
            row.save()
        yield from differences(("checks", name), before, after)


def _said(name: str, part: CheckPart) -> dict[str, Any]:
    """Return what the document says of a check, within its bounds."""
    said = part.model_dump(include=part.model_fields_set)
    for field, bounded in BOUNDS.items():
        if said.get(field) in (None, "", [], {}):
            continue
        try:
            said[field] = bounded(said[field])
        except ValueError as error:
            raise SetupRefused([f"{place('checks', name, field)}: {error}"]) from None
    if said.get("model") and not usable_name(said["model"]):
        where = place("checks", name, "model")
        raise SetupRefused([f"{where}: this cannot be the name of a model's directory."])
    return said
