"""Checks the sessions behind open sockets: a socket must not outlive the sign-in that opened it.

A sign-out, a changed password, a closed or deleted account, an expired or removed session: the database shows each of
them, whichever process it happened in. A query or two check all sockets of a process together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from models_admin.downloads import batches

AT_ONCE = 500  # keys in one query
REMEMBERED = 2000  # users' hashes: all sockets are checked every other second


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
    distinct = set(visits)
    alive = _alive({each.key for each in distinct})
    hashes, staff = _auth_hashes({each.user for each in distinct})
    return {each for each in distinct if each.key not in alive or not _is_valid(each, hashes)}, staff


def _is_valid(visit: Visit, hashes: dict[int, tuple[str, ...]]) -> bool:
    """Whether the session's hash is of the user's present password."""
    return any(constant_time_compare(visit.auth_hash, auth_hash) for auth_hash in hashes.get(visit.user, ()))


def _alive(keys: set[str]) -> set[str]:
    """Return those of the keys whose session is there and has not expired."""
    now, found = timezone.now(), set[str]()
    for batch in batches(sorted(keys), AT_ONCE):
        rows = Session.objects.filter(session_key__in=batch, expire_date__gt=now)
        found |= set(rows.values_list("session_key", flat=True))
    return found


def _auth_hashes(users: set[int]) -> tuple[dict[int, tuple[str, ...]], set[int]]:
    """Return the hashes that active users' sessions may have (several with SECRET_KEY_FALLBACKS), and who is staff."""
    found: dict[int, tuple[str, ...]] = {}
    staff: set[int] = set()
    for batch in batches(sorted(users), AT_ONCE):
        rows = get_user_model().objects.filter(pk__in=batch, is_active=True)
        for pk, password, is_staff in rows.values_list("pk", "password", "is_staff"):
            found[pk] = _hashes_of(password, settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))
            if is_staff:
                staff.add(pk)
    return found, staff


@lru_cache(REMEMBERED)
def _hashes_of(password: str, key: str, fallbacks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hashes that sessions of a user with this password (as it is stored) may have, by these secret keys."""
    user = get_user_model()(password=password)
    return (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
