"""For whom a call is made whose token speaks for others, such as that of an Open WebUI that many people use.

Open WebUI says who it is (ENABLE_FORWARD_USER_INFO_HEADERS) in X-OpenWebUI-User-Name, percent-encoded, -Email and -Id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from django.contrib.auth.models import User
from django.db.models import Q

from models_admin.visible import visible

LONGEST = 100  # characters of a name, as they are kept
PREFIX = "x-openwebui-user-"


@dataclass(frozen=True, slots=True)
class Said:
    """What a caller says of the person for whom he calls; '' where he does not."""

    name: str
    email: str
    id: str

    def __bool__(self) -> bool:
        return bool(self.name or self.email or self.id)

    @property
    def shown(self) -> str:
        """The name under which somebody is kept who has no account here."""
        return self.name or self.email or self.id


def said(headers: Mapping[str, str]) -> Said:
    """Read the headers of a request, whose names are in lower case."""
    given = (headers.get(f"{PREFIX}{each}", "") for each in ("name", "email", "id"))
    return Said(*map(_clean, given))


def _clean(value: str) -> str:
    return visible(" ".join(unquote(value[: 9 * LONGEST]).split()))[:LONGEST].strip()


def find(said: Said) -> int | None:
    """Return the id of the one active user who is meant, by email or username; None where there is no such, or several.

    People of Open WebUI choose their names themselves: beside an email, a name counts only for an account that has none.
    """
    users = User.objects.filter(is_active=True)
    if said.email:
        by_email = users.filter(Q(email__iexact=said.email) | Q(username__iexact=said.email))
        ids = list(by_email.values_list("pk", flat=True)[:2])
        if ids:
            return ids[0] if len(ids) == 1 else None
    if not said.name:
        return None
    named = users.filter(username__iexact=said.name)
    ids = list((named.filter(email="") if said.email else named).values_list("pk", flat=True)[:2])
    return ids[0] if len(ids) == 1 else None
