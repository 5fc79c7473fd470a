"""Who opens a socket: found by the key of a session, with every secret key that still counts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from models_admin.live import sessions

pytestmark = pytest.mark.django_db
USERS = get_user_model().objects


@pytest.fixture
def user() -> User:
    return USERS.create_user("ada", password="a-long-enough-one", is_staff=True)


@pytest.fixture
def key(user: User) -> str:
    """The key of the user's session."""
    client = Client()
    client.force_login(user)
    return str(client.session.session_key)


def test_a_session_tells_its_user_and_whether_they_are_staff(user: User, key: str) -> None:
    visit, staff = sessions.visit_of(key) or (None, None)
    assert visit is not None
    assert (visit.key, visit.user, staff) == (key, user.pk, True)
    USERS.update(is_staff=False)
    assert (sessions.visit_of(key) or (None, None))[1] is False


@pytest.mark.parametrize("key_of_nobody", ["", "short", "x" * 32])
def test_a_made_up_key_is_nobodys(key_of_nobody: str) -> None:
    assert sessions.visit_of(key_of_nobody) is None


def test_a_closed_account_opens_nothing(key: str) -> None:
    USERS.update(is_active=False)
    assert sessions.visit_of(key) is None


def test_a_session_of_an_older_password_opens_nothing(user: User, key: str) -> None:
    user.set_password("quite-another-one")
    user.save()
    assert sessions.visit_of(key) is None


def test_a_session_of_a_way_to_sign_in_that_is_no_longer_taken_opens_nothing(settings: Any, key: str) -> None:
    assert sessions.visit_of(key) is not None
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    assert sessions.visit_of(key) is None
    assert BACKEND_SESSION_KEY in Session.objects.get().get_decoded()


def test_after_a_change_of_the_secret_key_who_is_signed_in_stays_so(settings: Any, key: str) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-that-nobody-knows"
    assert sessions.visit_of(key) is not None
    settings.SECRET_KEY_FALLBACKS = []
    assert sessions.visit_of(key) is None
