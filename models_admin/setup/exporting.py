"""Writes the document: always in the same order, so that two of them can be compared line by line."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Group, Permission

from models_admin.models import Alias, Check, Rule, TabbyModel
from models_admin.setup.document import VERSION
from models_admin.visible import escaped

MODEL_FIELDS = ("display_name", "tags", "notes", "visible", "load_options")
RULE_FIELDS = (
    "name", "trigger", "target", "tries", "enabled", "days", "at", "only_if_idle", "idle_minutes", "wait_minutes",
)  # fmt: skip


def written() -> str:
    """Return the document of what is set up now."""
    text = json.dumps(everything(), indent=2, ensure_ascii=False)
    return "".join(f"{escaped(line)}\n" for line in text.split("\n"))


def everything() -> dict[str, Any]:
    """Return what is set up now, ready for JSON."""
    groups = Group.objects.order_by("name").prefetch_related("permissions__content_type")
    aliases = Alias.objects.order_by("name").prefetch_related("groups")
    return {
        "gantry_setup": VERSION,
        "models": {each.name: model(each) for each in TabbyModel.objects.order_by("name")},
        "aliases": {each.name: alias(each) for each in aliases},
        "rules": sorted((rule(each) for each in Rule.objects.all()), key=_order),
        "checks": {each.name: check(each) for each in Check.objects.order_by("name")},
        "groups": {each.name: permissions(each) for each in groups},
    }


def model(row: TabbyModel) -> dict[str, Any]:
    """Return what is noted about a model."""
    return {**{name: getattr(row, name) for name in MODEL_FIELDS}, "retired": row.retired_at is not None}


def alias(row: Alias) -> dict[str, Any]:
    """Return what an alias stands for, and for whom."""
    return {
        "model": row.model,
        "sampling": row.sampling,
        "system_prompt": row.system_prompt,
        "everybody": row.everybody,
        "groups": sorted(each.name for each in row.groups.all()),
        "retired": row.retired_at is not None,
        "successor": row.successor,
    }


def rule(row: Rule) -> dict[str, Any]:
    """Return what a rule does, and when."""
    found = {name: getattr(row, name) for name in RULE_FIELDS}
    return {**found, "days": sorted(row.days), "at": row.at.isoformat() if row.at else None}


def check(row: Check) -> dict[str, Any]:
    """Return what a check asks, and what the answer must fulfil."""
    return {
        each.name: getattr(row, each.name)
        for each in Check._meta.concrete_fields
        if each.name not in ("id", "name")
    }


def permissions(group: Group) -> list[str]:
    """Return the names of a group's permissions."""
    return sorted(permission_name(each) for each in group.permissions.all())


def permission_name(row: Permission) -> str:
    """Return a permission's name, such as `models_admin.switch`."""
    return f"{row.content_type.app_label}.{row.codename}"


def _order(rule: dict[str, Any]) -> str:
    return json.dumps([rule[name] for name in ("trigger", "at", "name")] + [rule], sort_keys=True)
