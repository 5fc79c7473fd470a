"""Who may read /metrics, and what it says while parts are down."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client

PATH = "/metrics"
TOKEN = "a-token-for-prometheus"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_redis(settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


def test_without_a_token_this_machine_may(settings: LazySettings) -> None:
    for address, status in (
        ("127.0.0.1", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("192.0.2.7", 403),
        ("", 403),
    ):
        assert Client(REMOTE_ADDR=address).get(PATH).status_code == status, address


def test_with_one_only_its_bearer_may(settings: LazySettings) -> None:
    settings.METRICS_TOKEN = TOKEN
    for sent in ("", "Bearer", f"Bearer {TOKEN}x", f"bearer {TOKEN}"[:-1], f"Basic {TOKEN}", "Bearer ä"):
        refused = Client().get(PATH, headers={"Authorization": sent})
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    far = Client(REMOTE_ADDR="192.0.2.7")
    assert far.get(PATH, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_redis_it_says_so_and_tells_the_rest() -> None:
    text = Client().get(PATH).content.decode()
    assert "gantry_redis_up 0.0" in text
    assert "gantry_database_up 1.0" in text
    assert "gantry_queue_length 0.0" in text
