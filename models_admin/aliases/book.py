"""What this process knows of the aliases. An event has it read anew (events.aliases_changed); so does its age."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.formats import date_format

from models_admin import db_threads
from models_admin.models import Alias

KEPT_SECONDS = 5.0  # an event may be lost, and who is a member of a group changes without one


@dataclass(frozen=True, slots=True)
class KnownAlias:
    """An alias. `users`: who may use it, None where everybody may. `retired` says so, in a sentence; '' if it is not."""

    name: str
    model: str
    sampling: Mapping[str, Any]
    system_prompt: str
    users: frozenset[int] | None
    retired: str

    def is_for(self, user: int) -> bool:
        """Whether this user may use it."""
        return self.users is None or user in self.users


class Book:
    """All aliases by their names, whose case does not matter."""

    def __init__(self) -> None:
        self._aliases: dict[str, KnownAlias] = {}
        self._read_at = self._forgotten_at = 0.0  # of time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether it may be asked without being read again."""
        return self._forgotten_at < self._read_at > time.monotonic() - KEPT_SECONDS

    def forget(self) -> None:
        """Have it read before it is next asked."""
        self._forgotten_at = time.monotonic()

    def refresh(self) -> None:
        """Read it if it is not fresh, in a thread that may ask the database."""
        if not self.fresh:
            now = time.monotonic()  # what changes while it is read makes it old
            self._aliases = _read()
            self._read_at = now

    async def ready(self) -> None:
        """Do refresh() from the event loop; while the book is fresh, this waits for nothing."""
        if not self.fresh:
            await db_threads.read(self.refresh)

    def find(self, name: str, user: int) -> KnownAlias | None:
        """Return the alias of that name, retired or not, if this user may use it. Call refresh() or ready() before."""
        alias = self._aliases.get(name.lower())
        return alias if alias is not None and alias.is_for(user) else None

    def of_user(self, user: int) -> list[KnownAlias]:
        """Return what find() finds for this user, in the order of names."""
        return [alias for alias in self._aliases.values() if alias.is_for(user)]


def retired_words(name: str, at: datetime | None, successor: str) -> str:
    """Return the sentence that says that an alias was retired, and where to go; '' if it was not."""
    if at is None:
        return ""
    words = f"The alias “{name}” was retired on {date_format(timezone.localtime(at), 'j F Y')}."
    return f"{words} Use “{successor}” instead." if successor else words


def _read() -> dict[str, KnownAlias]:
    rows = list(Alias.objects.all())
    users = {} if all(row.everybody for row in rows) else _users()
    return {
        row.name.lower(): KnownAlias(
            name=row.name,
            model=row.model,
            sampling=row.sampling,
            system_prompt=row.system_prompt,
            users=None if row.everybody else users[row.pk],
            retired=retired_words(row.name, row.retired_at, row.successor),
        )
        for row in rows
    }


def _users() -> Mapping[int, frozenset[int]]:
    """Return who may use each alias that is not for everybody: members of its groups, and superusers."""
    every = get_user_model().objects.order_by()
    above = frozenset(every.filter(is_superuser=True).values_list("pk", flat=True))
    members: dict[int, set[int]] = defaultdict(set)
    chosen = Alias.objects.order_by().filter(everybody=False, groups__user__isnull=False)
    for alias, user in chosen.values_list("pk", "groups__user"):
        members[alias].add(user)
    return defaultdict(lambda: above, {pk: above | own for pk, own in members.items()})


book = Book()
