"""What administrators do with aliases: make, change, retire, bring back. Only this module writes them.

Each change of what an alias stands for leaves a row of its history. A change loads no model: that is a switch of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from models_admin import events
from models_admin.aliases import sampling
from models_admin.aliases.book import book
from models_admin.models import Alias, AliasChange, AliasEvent, TabbyModel
from models_admin.tabby.wire import usable_name
from models_admin.visible import printable

NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
MOST_GROUPS = 100


class AliasRefused(Exception):
    """An alias was not made or not changed; str() says why. `field`: the one that is wrong, '' if it is none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class UnknownAlias(AliasRefused):
    """There is no alias of that name."""


class Taken(AliasRefused):
    """There is an alias or a model of that name already."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an alias is to be: what is None stays as it is, or is empty. `groups` are names; () means superusers alone.

    `absent`: its model may be one that the catalog does not have.
    """

    model: str | None = None
    sampling: Mapping[str, Any] | None = None
    system_prompt: str | None = None
    everybody: bool | None = None
    groups: Iterable[str] | None = None
    absent: bool = False


def find(name: str) -> Alias:
    """Return the alias of that name, whose case does not matter. Raises UnknownAlias."""
    row = Alias.objects.filter(name__iexact=name).first() if NAME.fullmatch(name) else None
    if row is None:
        raise UnknownAlias(f"There is no alias “{printable(name)}”.")
    return row


def make(name: str, wanted: Wanted, by: int | None) -> Alias:
    """Make an alias, by a user (None: a command). Raises Taken, or AliasRefused for anything else that is wrong."""
    check_name(name)
    row = Alias(name=name)
    try:
        with transaction.atomic():
            _write(row, wanted)
            _note(row, AliasEvent.MADE, by, after=row.model)
    except IntegrityError:
        check_name(name)  # somebody else has made it meanwhile
        raise
    return row


def change(row: Alias, wanted: Wanted, by: int | None) -> Alias:
    """Change an alias, by a user. Raises AliasRefused."""
    with transaction.atomic():
        row = Alias.objects.select_for_update().get(pk=row.pk)
        before = row.model
        _write(row, wanted)
        if row.model != before:
            _note(row, AliasEvent.POINTED, by, before, row.model)
    return row


def retire(row: Alias, successor: str, by: int | None, *, absent: bool = False) -> Alias:
    """Retire an alias, or change where it says to go (`successor`: an alias or a model; '' says nothing).

    `absent`: it may be one that is retired itself, or that the catalog does not have.
    """
    with transaction.atomic():
        row = Alias.objects.select_for_update().get(pk=row.pk)
        check_successor(row, successor, absent=absent)
        if row.retired_at is None or row.successor != successor:
            row.retired_at, row.successor = row.retired_at or timezone.now(), successor
            row.save(update_fields=["retired_at", "successor"])
            _note(row, AliasEvent.RETIRED, by, row.model, successor)
    return row


def restore(row: Alias, by: int | None) -> Alias:
    """Bring a retired alias back, as it was; one that is not retired stays as it is."""
    with transaction.atomic():
        row = Alias.objects.select_for_update().get(pk=row.pk)
        if row.retired_at is not None:
            row.retired_at, row.successor = None, ""
            row.save(update_fields=["retired_at", "successor"])
            _note(row, AliasEvent.RESTORED, by, after=row.model)
    return row


def check_name(name: str) -> None:
    """Raise AliasRefused unless an alias may be made under this name."""
    if not NAME.fullmatch(name):
        raise AliasRefused("A name has 1 to 64 characters: letters, digits and - _ . :", "name")
    if Alias.objects.filter(name__iexact=name).exists():
        raise Taken(f"There is an alias “{name}” already. Change that one.", "name")
    if TabbyModel.objects.filter(name__iexact=name).exists():
        raise Taken(f"“{name}” is the name of a model. Choose another one.", "name")


def check_successor(row: Alias, successor: str, *, absent: bool = False) -> None:
    """Raise AliasRefused unless callers of an alias may be sent there."""
    if not successor:
        return
    if successor.lower() == row.name.lower():
        raise AliasRefused("An alias cannot be its own successor.", "successor")
    if absent and usable_name(successor):
        return
    other = Alias.objects.filter(name__iexact=successor).first() if NAME.fullmatch(successor) else None
    if other is not None and other.retired_at is not None:
        raise AliasRefused(f"The alias “{other}” is retired, too.", "successor")
    if other is None and not _in_catalog(successor):
        raise AliasRefused(f"There is no alias and no model “{printable(successor)}”.", "successor")


def _write(row: Alias, wanted: Wanted) -> None:
    """Check what is wanted, and save it; pages and other processes are told when that is committed."""
    if wanted.model is not None and wanted.model != row.model:
        _check_model(wanted.model, absent=wanted.absent)
        row.model = wanted.model
    if wanted.sampling is not None:
        try:
            row.sampling = sampling.validated(wanted.sampling)
        except ValueError as error:
            raise AliasRefused(str(error), "sampling") from None
    if wanted.system_prompt is not None:
        row.system_prompt = _prompt(wanted.system_prompt)
    if wanted.everybody is not None:
        row.everybody = wanted.everybody
    chosen = None if wanted.groups is None else _groups(wanted.groups)
    row.save()
    if chosen is not None:
        row.groups.set(chosen)
    transaction.on_commit(_tell)


def _check_model(name: str, *, absent: bool) -> None:
    if name and not (usable_name(name) if absent else _in_catalog(name)):
        words = (
            f"There is no model “{printable(name)}” in the catalog. Leave it empty for whatever is loaded."
        )
        raise AliasRefused(words, "model")


def _in_catalog(name: str) -> bool:
    return usable_name(name) and TabbyModel.offered().filter(name=name).exists()


def _prompt(text: str) -> str:
    if len(text) > sampling.LONGEST_PROMPT or "\x00" in text:
        words = f"A system prompt has at most {sampling.LONGEST_PROMPT:,} characters, and no NUL."
        raise AliasRefused(words, "system_prompt")
    return text if text.strip() else ""


def _groups(names: Iterable[str]) -> list[Group]:
    wanted = set(names)
    if len(wanted) > MOST_GROUPS:
        raise AliasRefused(f"Choose {MOST_GROUPS} groups at most.", "groups")
    found = list(Group.objects.filter(name__in=wanted))
    if unknown := wanted - {each.name for each in found}:
        raise AliasRefused(f"There is no group “{printable(min(unknown))}”.", "groups")
    return found


def _note(row: Alias, event: AliasEvent, by: int | None, before: str = "", after: str = "") -> None:
    AliasChange.objects.create(alias=row, event=event, by_id=by, before=before, after=after)
    transaction.on_commit(_tell)


def _tell() -> None:
    book.forget()
    events.aliases_changed()
