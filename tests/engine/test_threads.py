"""Threads of the asyncio side."""

from __future__ import annotations

import pytest

from models_admin import threads, trace


@pytest.mark.django_db(transaction=True)
async def test_a_thread_logs_with_the_id_of_its_request() -> None:
    with trace.request("from-the-proxy.1"):
        for run in (threads.write, threads.read, threads.ask):
            assert await run(trace.request_id.get) == "from-the-proxy.1"
    assert await threads.read(trace.request_id.get) == ""
