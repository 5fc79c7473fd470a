"""The HTTP API keeps what its OpenAPI document says, whatever is sent: no 5xx, every answer as declared."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from support.people import Person

import gantry_site.urls  # noqa: F401 (puts the API together)
from models_admin.api.app import api

DOCUMENT: dict[str, Any] = dict(api.get_openapi_schema())
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.config.generation.with_security_parameters = False  # the tests say who asks
THOROUGH = settings(
    max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def token(admin: Person) -> str:
    """The administrator's, for everything."""
    return admin.token("read", "switch")


@schema.parametrize()
@THOROUGH
def test_whatever_is_sent_is_answered_as_declared(
    case: schemathesis.Case, admin: Person, alice: Person, token: str
) -> None:
    operation = case.operation.definition.raw
    ways = {name for way in operation["security"] for name in way}
    if "BearerToken" in ways:
        proof = {"headers": {"Authorization": f"Bearer {token}"}}
    else:  # who may switch need not ask for a model
        proof = {"cookies": {"session_id": (alice if "requests" in operation["tags"] else admin).cookie}}
    # Of the right shape is not yet right: a name may be nobody's, a cursor no page's.
    but = [schemathesis.checks.positive_data_acceptance]
    case.call_and_validate(base_url=admin.url, timeout=30, excluded_checks=but, **proof)
