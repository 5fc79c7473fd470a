"""Brings a document in, in one transaction. Nothing is deleted, and what it does not name stays as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from models_admin import events, permissions
from models_admin.aliases import changes
from models_admin.aliases.changes import AliasRefused, UnknownAlias, Wanted
from models_admin.models import Alias, TabbyModel
from models_admin.servers import catalog, options
from models_admin.setup import exporting, retirement
from models_admin.setup.document import (
    AliasPart,
    Document,
    Found,
    ModelPart,
    SetupRefused,
    differences,
    place,
)
from models_admin.setup.import_checks import bring_checks
from models_admin.setup.import_rules import bring_rules
from models_admin.tabby.wire import usable_name
from models_admin.visible import visible

LONGEST_SHOWN = 200  # characters of a value
SECTIONS = ("models", "aliases", "rules", "checks", "groups")


class Moved(Exception):
    """What would change is something else than what was looked at before."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changes at a place of the document; `before` is None for what is new."""

    place: str
    before: Any
    after: Any

    @property
    def section(self) -> str:
        """The part of the document that it belongs to."""
        return next(name for name in SECTIONS if self.place.startswith(name))

    @property
    def was(self) -> str:
        """What stands there now, as JSON that is cut where it is long; '' for what is new."""
        return "" if self.before is None else _short(self.before)

    @property
    def becomes(self) -> str:
        """What stands there then, as JSON that is cut where it is long."""
        return _short(self.after)

    @property
    def words(self) -> str:
        """The change in a line."""
        return f"{self.place}: {self.was or 'new:'}{' →' if self.was else ''} {self.becomes}"


def bring_in(
    document: Document, by: int | None, *, dry_run: bool, may: Collection[str] = SECTIONS, seen: str = ""
) -> list[Change]:
    """Make what is set up as the document says, in a user's name (None: a command); return what that changes.

    `dry_run`: change nothing. `may`: the sections in which something may change. `seen`: the digest() of the changes that
    were looked at. Raises SetupRefused, and Moved where there are other changes than those by now.
    """
    with transaction.atomic():
        made = [Change(*each) for each in _all(document, by)]
        barred = [name for name in SECTIONS if name not in may and any(each.section == name for each in made)]
        if barred:
            raise SetupRefused(
                f"{name}: you may not change these. Leave them out of the document, or ask somebody who may."
                for name in barred
            )
        if seen and digest(made) != seen:
            raise Moved
        if dry_run:
            transaction.set_rollback(True)
        elif made:
            transaction.on_commit(events.catalog_changed)
    return made


def sections_of(user: AbstractBaseUser | AnonymousUser) -> list[str]:
    """Return the sections in which this user may change something: nobody gives himself more rights with a document."""
    rights = {
        "models": permissions.may_manage(user),
        "aliases": permissions.may_manage_aliases(user),
        "rules": permissions.may_write_rules(user),
        "checks": permissions.may_manage(user),
        "groups": permissions.may_change_groups(user),
    }
    return [name for name, allowed in rights.items() if allowed]


def write_log(made: Sequence[Change], user_id: int) -> None:
    """Enter into Django's admin log that this account has brought a document in."""
    LogEntry.objects.create(
        user_id=user_id,
        content_type=ContentType.objects.get_for_model(TabbyModel),
        object_repr="What is set up",
        action_flag=CHANGE,
        change_message=json.dumps([f"Brought in a document: {len(made)} changes."]),
    )


def digest(made: Sequence[Change]) -> str:
    """Return a short text that is another one for other changes."""
    text = json.dumps([asdict(each) for each in made], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _all(document: Document, by: int | None) -> Found:
    """Make all changes, and yield them. Groups come before the aliases that name them, aliases before models that may have
    come with the same name since.
    """
    yield from _bring_groups(document.groups)
    yield from _bring_aliases(document.aliases, by)
    yield from _bring_models(document.models)
    yield from bring_rules(document.rules)
    yield from bring_checks(document.checks)


def _bring_groups(wanted: Mapping[str, list[str]]) -> Found:
    known: dict[str, list[Permission]] = {}
    for each in Permission.objects.select_related("content_type"):
        known.setdefault(exporting.permission_name(each), []).append(each)
    for name, given in sorted(wanted.items()):
        if unknown := set(given) - known.keys():
            raise SetupRefused([f"{place('groups', name)}: there is no permission {min(unknown)!r:.60}."])
        group = Group.objects.filter(name=name).first()
        before = exporting.permissions(group) if group else None
        after = sorted(set(given))
        if before == after:
            continue
        group = group or Group.objects.create(name=name)
        group.permissions.set([each for permission in after for each in known[permission]])
        yield place("groups", name), before, after


def _bring_aliases(wanted: Mapping[str, AliasPart], by: int | None) -> Found:
    lower = [name.lower() for name in wanted]
    for name in wanted:
        if lower.count(name.lower()) > 1:
            raise SetupRefused(
                [f"{place('aliases', name)}: this alias stands twice; its case does not matter."]
            )
    rows: dict[str, tuple[Alias, dict[str, Any] | None]] = {}
    for name, part in sorted(wanted.items()):
        try:
            rows[name] = _written(name, part, by)
        except AliasRefused as error:
            raise _refused(name, error) from None
    for name, (row, before) in rows.items():
        try:
            after = exporting.alias(_retired(row, wanted[name], by))
        except AliasRefused as error:
            raise _refused(name, error) from None
        yield from differences(("aliases", name), before, after)


def _refused(name: str, error: AliasRefused) -> SetupRefused:
    where = [error.field] if error.field and error.field != "name" else []
    return SetupRefused([f"{place('aliases', name, *where)}: {error}"])


def _written(name: str, part: AliasPart, by: int | None) -> tuple[Alias, dict[str, Any] | None]:
    """Make or change an alias; return it, and what it was before."""
    said = part.model_dump(include=part.model_fields_set - {"retired", "successor"})
    try:
        row = changes.find(name)
    except UnknownAlias:
        return changes.make(name, Wanted(**said, absent=True), by), None
    before = exporting.alias(row)
    if any(before[field] != value for field, value in said.items()):
        row = changes.change(row, Wanted(**said, absent=True), by)
    return row, before


def _retired(row: Alias, part: AliasPart, by: int | None) -> Alias:
    if "retired" not in part.model_fields_set:
        return row
    if part.retired:
        return changes.retire(row, part.successor, by, absent=True)
    return changes.restore(row, by)


def _bring_models(wanted: Mapping[str, ModelPart]) -> Found:
    known = TabbyModel.objects.in_bulk(list(wanted), field_name="name")
    for name, part in sorted(wanted.items()):
        if not usable_name(name):
            raise SetupRefused([f"{place('models', name)}: this cannot be the name of a model's directory."])
        said = _noted(name, part)
        row = known.get(name)
        before = exporting.model(row) if row else None
        row = row or catalog.absent(name)
        retired = said.pop("retired", None)
        for field, value in said.items():
            setattr(row, field, value)
        if before is None or any(before[field] != value for field, value in said.items()):
            row.save(update_fields=None if before is None else list(said))
        _set_retired(name, retired)
        row.refresh_from_db(fields=["retired_at"])
        after = exporting.model(row)
        yield from differences(("models", name), before, after)


def _set_retired(name: str, retired: bool | None) -> None:
    """Retire a model, or bring it back; None leaves it as it is."""
    try:
        if retired:
            retirement.retire(name)
        elif retired is not None:
            retirement.restore(name)
    except retirement.InUse as error:
        raise SetupRefused([f"{place('models', name, 'retired')}: {error}"]) from None


def _noted(name: str, part: ModelPart) -> dict[str, Any]:
    """Return what the document says of a model, checked."""
    said = part.model_dump(include=part.model_fields_set)
    if "display_name" in said:
        said["display_name"] = visible(said["display_name"])
    if "load_options" in said:
        try:
            said["load_options"] = options.validated(said["load_options"])
        except ValueError as error:
            raise SetupRefused([f"{place('models', name, 'load_options')}: {error}"]) from None
    return said
