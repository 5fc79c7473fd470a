"""A server of several that hangs is found by its silence, however many are just asking it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.db import transaction

from models_admin import db_threads
from models_admin.automation.stalls import SILENT_SECONDS, Stalls
from models_admin.servers import known, state_row
from models_admin.servers.clients import Clients
from models_admin.tabby.wire import ModelCard
from models_admin.usage.meter import Meter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Two servers: the first takes connections and says nothing."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        settings.TABBY_HOST = f"gpu1=http://127.0.0.1:{hanging.getsockname()[1]},gpu2=http://127.0.0.1:9"
        known._rows.clear()
        first, second = known.all_servers()
        for server in (first, second):
            with transaction.atomic():
                state_row.set_loaded(server, ModelCard("usual", {}))
        yield first, second
    known._rows.clear()


@pytest.fixture
async def stalls() -> AsyncIterator[Stalls]:
    clients = Clients()
    yield Stalls(clients)
    await clients.aclose()


def meter(heard: float | None = None) -> Meter:
    """Of a reply that has just been asked for, or of one of which something was heard so many seconds ago."""
    made = Meter()
    made.begin()
    assert made.asked_at is not None
    if heard is not None:
        made.heard(1)
        made.heard_at = made.asked_at - heard
    return made


def out_of_reach(server: int) -> bool:
    return state_row.row(server).unreachable_since is not None


async def test_new_replies_do_not_hide_that_nothing_is_heard(two: tuple[int, int], stalls: Stalls) -> None:
    first, _ = two
    assert await stalls.found([(first, meter(SILENT_SECONDS)), (first, meter())]) == {first}
    assert await db_threads.read(out_of_reach, first)


async def test_one_that_is_heard_or_only_just_asked_is_left_alone(
    two: tuple[int, int], stalls: Stalls
) -> None:
    first, second = two
    writing = [(first, meter(SILENT_SECONDS)), (first, meter(0.0)), (second, meter()), (second, Meter())]
    assert await stalls.found(writing) == set()
    assert not await db_threads.read(out_of_reach, first)


async def test_many_who_ask_share_one_answer(two: tuple[int, int], stalls: Stalls) -> None:
    first, _ = two
    tasks = len(asyncio.all_tasks())
    asking = [asyncio.create_task(stalls.has_stalled(first)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) - tasks == 21
    assert await asyncio.gather(*asking) == [True] * 20


async def test_the_only_server_has_nobody_to_go_on_elsewhere(settings: Any, stalls: Stalls) -> None:
    settings.TABBY_HOST = "http://127.0.0.1:9"
    known._rows.clear()
    (only,) = await db_threads.read(known.all_servers)
    assert not await stalls.has_stalled(only)
    assert not await db_threads.read(out_of_reach, only)
