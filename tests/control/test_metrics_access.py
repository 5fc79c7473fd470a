"""Who may read /metrics, and what it says while parts are down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from support.servers import SERVER

from models_admin.models import Source, State, Switch
from models_admin.ops.metrics import _Switches
from models_admin.servers import state_row

PATH = "/metrics"
TOKEN = "a-token-for-prometheus"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_redis(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


def local(**more: str) -> Client:
    return Client(HTTP_HOST="localhost:8000", **more)


def test_without_a_token_this_machine_may(settings: LazySettings) -> None:
    for address, status in (
        ("127.0.0.1", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("192.0.2.7", 403),
        ("", 403),
    ):
        assert local(REMOTE_ADDR=address).get(PATH).status_code == status, address


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "127.1.2.3"])
def test_this_machine_may_by_its_own_names(name: str) -> None:
    assert Client(HTTP_HOST=name).get(PATH).status_code == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]
)
def test_a_page_whose_name_leads_here_may_not(name: str) -> None:
    assert Client(HTTP_HOST=name).get(PATH).status_code == 403


def test_with_one_only_its_bearer_may(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = TOKEN
    for sent in ("", "Bearer", f"Bearer {TOKEN}x", f"bearer {TOKEN}"[:-1], f"Basic {TOKEN}", "Bearer ä"):
        refused = Client().get(PATH, headers={"Authorization": sent})
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    far = Client(REMOTE_ADDR="192.0.2.7")
    assert far.get(PATH, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_redis_it_says_so_and_tells_the_rest() -> None:
    text = local().get(PATH).content.decode()
    assert "gantry_redis_up 0.0" in text
    assert "gantry_database_up 1.0" in text
    assert "gantry_queue_length 0.0" in text


def ended(switches: _Switches) -> dict[tuple[str, str, str], float]:
    """What is counted of the switches: {(kind, outcome, source): number}, without the zeros."""
    (family,) = [each for each in switches.collect() if each.name == "gantry_switches"]
    labels = ("kind", "outcome", "source")
    return {
        tuple(sample.labels[name] for name in labels): sample.value
        for sample in family.samples
        if sample.value
    }


def test_a_switch_that_comes_in_the_midst_is_counted_when_it_has_ended() -> None:
    """Asked for between any two of the scrape's questions."""
    server = state_row.row(SERVER)
    for place in range(3):
        Switch.objects.all().delete()
        switches, asked = _Switches(), 0

        def ask(execute: Callable[..., Any], *query: Any) -> Any:
            nonlocal asked
            answer = execute(*query)
            if asked == place:  # noqa: B023 (it is called within this turn)
                asked += 1
                Switch.objects.create(server=server, target="x", source=Source.API, drain_seconds=0)
            asked += 1
            return answer

        with connection.execute_wrapper(ask):
            assert ended(switches) == {}
        Switch.objects.update(state=State.SUCCEEDED)
        assert ended(switches) == {("switch", "succeeded", "api"): 1}


def test_outcomes_are_there_before_the_first_one() -> None:
    text = local().get(PATH).content.decode()
    assert 'gantry_switches_total{kind="switch",outcome="failed",source="admin"} 0.0' in text
    assert 'gantry_switches_total{kind="rollback",outcome="failed",source="rollback"} 0.0' in text
