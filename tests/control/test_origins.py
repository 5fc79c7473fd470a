"""From which pages sockets are opened and the API is asked: scheme, host and port have to be Gantry's own."""

from __future__ import annotations

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from control_rows import QWEN
from django.test import Client

from gantry_site.routing import from_our_pages
from models_admin.models import TabbyModel

SWITCH = "/api/admin/models/switch"
HOST = "localhost:8000"


async def _taken(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def opens(origin: str, host: str = HOST, scheme: str = "ws") -> bool:
    """Whether a page from `origin` may open a socket."""
    page = WebsocketCommunicator(from_our_pages(_taken), "/ws/models/")
    page.scope |= {"headers": [(b"host", host.encode()), (b"origin", origin.encode())], "scheme": scheme}
    opened, _ = await page.connect()
    await page.disconnect()
    return bool(opened)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://localhost:8000", HOST, "ws"),
        ("HTTP://LocalHost:8000", HOST, "ws"),
        ("http://localhost", "localhost:80", "ws"),
        ("http://localhost:80", "localhost", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("https://localhost", "localhost", "wss"),
    ],
)
async def test_our_own_pages_open_sockets(origin: str, host: str, scheme: str) -> None:
    assert await opens(origin, host, scheme)


OTHERS = [
    "https://{}",
    "ftp://{}",
    "ws://{}",
    "//{}",
    "{}",
    "http://x@{}",
    "http://{}/",
    "http://{}#",
    "http://{}0",
    "null",
    "",
]


@pytest.mark.parametrize("origin", OTHERS)
async def test_others_do_not(origin: str) -> None:
    assert not await opens(origin.format(HOST))


async def test_behind_a_proxy_that_ends_tls_our_pages_are_those_that_came_by_it(settings: Any) -> None:
    settings.HTTPS = True
    assert await opens("https://localhost:8000")
    assert not await opens("http://localhost:8000")


async def test_a_page_that_is_trusted_by_name_opens_sockets(settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://gantry.example"]
    assert await opens("https://gantry.example")
    assert not await opens("http://gantry.example")


def test_the_api_behind_such_a_proxy(
    admin_client: Client, catalog: dict[str, TabbyModel], settings: Any
) -> None:
    settings.HTTPS = True

    def asked(origin: str) -> int:
        headers = {"Origin": origin, "Prefer": "respond-async"}
        return admin_client.post(SWITCH, {"model_id": QWEN}, "application/json", headers=headers).status_code

    assert asked("http://testserver") == 403
    assert asked("https://testserver") == 202
