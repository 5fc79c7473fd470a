"""Makes, finds and revokes API tokens. Only this module writes them.

A token is `gantry_` and 32 random bytes; the database keeps its SHA-256. A slow hash would add nothing, because there is no
list of likely tokens to try.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from models_admin.models import Token

PREFIX = "gantry_"
LONGEST = 200  # characters; what is longer is no token, and not worth hashing
USE_WRITTEN_EVERY = timedelta(minutes=1)
# Written out, because each call under /v1 begins with it: Django takes longer to build it than the rest takes.
FIND = """
SELECT token.*, owner.is_active AS user_is_active
FROM models_admin_token AS token JOIN auth_user AS owner ON owner.id = token.user_id WHERE token.digest = %s
"""


class Scope(models.TextChoices):
    """What a token may be used for, within what its user may do."""

    READ = "read", "Read: models, what is loaded, switches"
    SWITCH = "switch", "Switch: switch, unload, cancel, refresh; aliases of models"
    CHAT = "chat", "Chat: the OpenAI-compatible API under /v1"


class Invalid(Exception):
    """The token is not valid; str() is a sentence for whoever sent it, without the token."""


def make(
    user: AbstractBaseUser, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Make a token of `user`; return its row, and the token itself, which is not kept."""
    token = PREFIX + secrets.token_urlsafe(32)
    row = Token.objects.create(
        user_id=user.pk,
        name=name,
        scopes=sorted({Scope(scope).value for scope in scopes}),
        digest=_digest(token),
        expires_at=expires_at,
    )
    return row, token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def find(token: str) -> Token:
    """Return the row of a valid token, and write that it was used. Raises Invalid."""
    known = token.startswith(PREFIX) and len(token) <= LONGEST
    row: Any = next(iter(Token.objects.raw(FIND, [_digest(token)])), None) if known else None
    if row is None:
        raise Invalid("This token is not known. Make one under “API tokens”, in the menu of the chat page.")
    if row.revoked_at is not None:
        raise Invalid(f"The token “{row}” was revoked.")
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise Invalid(f"The token “{row}” has expired. Make a new one.")
    if not row.user_is_active:
        raise Invalid(f"The user of the token “{row}” is no longer active.")
    _write_use(row)
    return cast("Token", row)


def own(user: AbstractBaseUser | AnonymousUser, token: str) -> Token | None:
    """Return the row of this token if it is the user's, valid or not. This does not count as its use."""
    if user.pk is None or not token.startswith(PREFIX) or len(token) > LONGEST:
        return None
    return Token.objects.filter(digest=_digest(token), user_id=user.pk).first()


def valid(pk: int) -> QuerySet[Token]:
    """Return a query for the token with this primary key, if it is valid now."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Token.objects.filter(unexpired, pk=pk, revoked_at=None, user__is_active=True)


def _write_use(row: Token) -> None:
    now = timezone.now()
    if row.last_used is None or row.last_used <= now - USE_WRITTEN_EVERY:
        outdated = Q(last_used=None) | Q(last_used__lte=now - USE_WRITTEN_EVERY)
        Token.objects.filter(outdated, pk=row.pk).update(last_used=now)


def limit(pk: int, limits: Mapping[str, Any]) -> None:
    """Change a token's own limits under /v1, and whether it speaks for others; `limits` are columns of it."""
    Token.objects.filter(pk=pk).update(**limits)


def revoke(rows: QuerySet[Token]) -> int:
    """Revoke these tokens, at once and for good; return how many were not revoked yet."""
    return rows.filter(revoked_at=None).update(revoked_at=timezone.now())
