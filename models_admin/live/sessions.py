"""Checks the sessions behind open sockets: a socket must not outlive the sign-in that opened it.

A sign-out, a changed password, a closed or deleted account, an expired or removed session: the database shows each of
them, whichever process it happened in. Two statements check all sockets of a process together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from models_admin import statements

REMEMBERED = 2000  # users' hashes: all sockets are checked every other second

ENDED = """
SELECT asked.value FROM {asked} WHERE NOT EXISTS (
    SELECT 1 FROM django_session AS session WHERE session.session_key = asked.value AND session.expire_date > %s
)
"""
ACTIVE = """
SELECT person.id, person.password, person.is_staff FROM {asked} JOIN auth_user AS person ON person.id = asked.value
WHERE person.is_active = %s
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a socket was opened with: the session's key, its user, and its hash of the user's password."""

    key: str
    user: int
    auth_hash: str


def visit_of(key: str) -> tuple[Visit, bool] | None:
    """Return the visit of the session with this key, and whether its user may enter the admin site; None: not signed in."""
    session = SessionStore(key)
    try:
        user = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
    except KeyError:
        return None
    visit = Visit(key, user, session.get(HASH_SESSION_KEY, ""))
    hashes, staff = _auth_hashes({user})
    known = session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return (visit, user in staff) if known and _is_valid(visit, hashes) else None


def check(visits: Iterable[Visit]) -> tuple[set[Visit], set[int]]:
    """Return the visits whose session is no longer valid, and which of all the users may enter the admin site."""
    every = list(visits)
    ended = _ended({each.key for each in every})
    hashes, staff = _auth_hashes({each.user for each in every})
    return {each for each in every if each.key in ended or not _is_valid(each, hashes)}, staff


def _is_valid(visit: Visit, hashes: dict[int, tuple[str, ...]]) -> bool:
    """Whether the session's hash is of the user's present password. Both are the server's own: nobody guesses here."""
    return visit.auth_hash in hashes.get(visit.user, ())


def _ended(keys: set[str]) -> set[str]:
    """Return those of the keys whose session has expired, or is not there."""
    asked, these = statements.listed(list(keys), "text")
    rows = statements.fetch(ENDED.format(asked=asked), [these, statements.stored(timezone.now())])
    return {key for (key,) in rows}


def _auth_hashes(users: set[int]) -> tuple[dict[int, tuple[str, ...]], set[int]]:
    """Return the hashes that active users' sessions may have (several with SECRET_KEY_FALLBACKS), and who is staff."""
    asked, these = statements.listed(list(users), "bigint")
    rows = statements.fetch(ACTIVE.format(asked=asked), [these, True])
    key, fallbacks = settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS)
    found = {pk: _hashes_of(password, key, fallbacks) for pk, password, _ in rows}
    return found, {pk for pk, _, is_staff in rows if is_staff}


@lru_cache(REMEMBERED)
def _hashes_of(password: str, key: str, fallbacks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hashes that sessions of a user with this password (as it is stored) may have, by these secret keys."""
    user = get_user_model()(password=password)
    return (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
