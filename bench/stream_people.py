"""Users, sessions and conversations for the benchmarks, written straight into the database before anything is measured.

Everybody has one conversation at a time, so that Gantry's limits per person stay as they are by default.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Visitor:
    """A signed-in user: the row's number and the cookie's value."""

    user: int
    cookie: str


def visitors(count: int) -> list[Visitor]:
    """Make (or find again) so many signed-in users."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 (Django is set up by now)
    from django.db import transaction  # noqa: PLC0415

    users = get_user_model().objects
    found = list(users.filter(username__startswith="bench-").order_by("pk")[:count])
    with transaction.atomic():
        for number in range(len(found), count):
            found.append(users.create(username=f"bench-{number}", password="!none"))
        return [Visitor(user.pk, _session(user)) for user in found]


def _session(user: object) -> str:
    from django.contrib.auth import (  # noqa: PLC0415
        BACKEND_SESSION_KEY,
        HASH_SESSION_KEY,
        SESSION_KEY,
        get_user_model,
    )
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415

    assert isinstance(user, get_user_model())
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def fresh_pages(people: list[Visitor], count: int) -> list[tuple[str, str]]:
    """Give the people `count` new conversations, in turn; return the (path, cookie) of each one's socket."""
    from chat.models import Conversation  # noqa: PLC0415

    owners = [people[number % len(people)] for number in range(count)]
    rows = Conversation.objects.bulk_create([Conversation(owner_id=owner.user) for owner in owners])
    return [(f"/ws/chat/{row.pk}/", owner.cookie) for row, owner in zip(rows, owners, strict=True)]
