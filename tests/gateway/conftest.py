"""Callers of the running Gantry's OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.api_calls import PAGES, Caller
from support.people import Person
from support.system import web_process
from support.tabby import Tabby
from system.running import Gantry

SETTINGS = {"GATEWAY_MAX_BODY_MB": "3", "GATEWAY_CORS_ORIGINS": PAGES, "REQUEST_SECONDS": "5"}


@pytest.fixture(scope="session")
def token(admin: Person) -> str:
    """An API token for chat."""
    return admin.token("chat", name="a program")


@pytest.fixture
def caller(tabby: Tabby, admin: Person, token: str) -> Caller:
    """A program, on a calm Gantry."""
    return Caller(admin.url, token)


@pytest.fixture(scope="session")
def daphne_url(gantry: Gantry) -> Iterator[str]:
    """One more web process of the running Gantry."""
    with web_process(gantry, "daphne", **SETTINGS) as (process, url):
        yield url
        process.end()


@pytest.fixture(scope="session")
def uvicorn_url(gantry: Gantry) -> Iterator[str]:
    """One on the other server."""
    with web_process(gantry, "uvicorn", **SETTINGS) as (process, url):
        yield url
        process.end()


@pytest.fixture(params=["daphne", "uvicorn"])
def third(request: pytest.FixtureRequest, caller: Caller) -> Caller:
    """The program, at each of these."""
    return Caller(request.getfixturevalue(f"{request.param}_url"), caller.token)
