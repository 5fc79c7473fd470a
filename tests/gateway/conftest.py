"""Callers of the running Gantry's OpenAI-compatible API."""

from __future__ import annotations

import pytest
from support.api_calls import Caller
from support.people import Person
from support.tabby import Tabby


@pytest.fixture(scope="session")
def token(admin: Person) -> str:
    """An API token for chat."""
    return admin.token("chat", name="a program")


@pytest.fixture
def caller(tabby: Tabby, admin: Person, token: str) -> Caller:
    """A program, on a calm Gantry."""
    return Caller(admin.url, token)
