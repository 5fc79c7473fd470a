"""Threads of the asyncio side."""

from __future__ import annotations

import pytest

from models_admin import db_threads, log_context


@pytest.mark.django_db(transaction=True)
async def test_a_thread_logs_with_the_id_of_its_request() -> None:
    with log_context.request("from-the-proxy.1"):
        for run in (db_threads.write, db_threads.read, db_threads.ask):
            assert await run(log_context.request_id.get) == "from-the-proxy.1"
    assert await db_threads.read(log_context.request_id.get) == ""
