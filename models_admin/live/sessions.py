"""Whether the sessions behind open sockets still hold: a socket must not outlive the sign-in that opened it.

Signing out, a changed password, an account that is closed or deleted, a session that has run out or was removed: all of
these are in the database, whichever process they happened in. They are looked for together, in a query or two for all
sockets of a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

AT_ONCE = 500  # keys in one query


@dataclass(frozen=True, slots=True)
class Visit:
    """What a socket was opened with: the session's key, the user, and what the session holds of the user's password."""

    key: str
    user: int
    proof: str


def opened(key: str) -> tuple[Visit, bool] | None:
    """Return the visit of whoever brings this session's key, and whether they may enter the admin site; None for nobody."""
    session = SessionStore(key)
    try:
        user = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
    except KeyError:
        return None
    visit = Visit(key, user, session.get(HASH_SESSION_KEY, ""))
    proofs, staff = _proofs({user})
    known = session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return (visit, user in staff) if known and _holds(visit, proofs) else None


def looked_at(visits: Iterable[Visit]) -> tuple[set[Visit], set[int]]:
    """Return those whose session holds no longer, and which of all the users may enter the admin site."""
    asked = set(visits)
    alive = _alive({each.key for each in asked})
    proofs, staff = _proofs({each.user for each in asked})
    return {each for each in asked if each.key not in alive or not _holds(each, proofs)}, staff


def _holds(visit: Visit, proofs: dict[int, tuple[str, ...]]) -> bool:
    """Whether the session was opened with what is still the user's password."""
    return any(constant_time_compare(visit.proof, proof) for proof in proofs.get(visit.user, ()))


def _alive(keys: set[str]) -> set[str]:
    now, found, wanted = timezone.now(), set[str](), sorted(keys)
    for start in range(0, len(wanted), AT_ONCE):
        rows = Session.objects.filter(session_key__in=wanted[start : start + AT_ONCE], expire_date__gt=now)
        found |= set(rows.values_list("session_key", flat=True))
    return found


def _proofs(users: set[int]) -> tuple[dict[int, tuple[str, ...]], set[int]]:
    """What a session of each active user must hold (with SECRET_KEY_FALLBACKS, one of several); and who is staff."""
    found: dict[int, tuple[str, ...]] = {}
    staff: set[int] = set()
    wanted = sorted(users)
    for start in range(0, len(wanted), AT_ONCE):
        rows = get_user_model().objects.filter(pk__in=wanted[start : start + AT_ONCE], is_active=True)
        for user in rows.only("pk", "password", "is_staff"):
            found[user.pk] = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
            if user.is_staff:
                staff.add(user.pk)
    return found, staff
