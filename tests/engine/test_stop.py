"""A dispatcher that is stopped while it claims: what it gets is put back like the rest."""

from __future__ import annotations

import asyncio
import threading
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from support.servers import SERVER

from chat import claims, dispatch, queue
from chat.dispatch import Dispatcher
from chat.relay import EndReason


@pytest.mark.django_db(transaction=True)  # the threads look after the connections that they keep
async def test_a_reply_that_is_being_claimed_is_put_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    claiming, may_claim = threading.Event(), threading.Event()
    ended: list[EndReason] = []

    class Played:
        def __init__(self, work: Any, tabby: Any) -> None:
            self.work = work
            self.over = asyncio.Event()

        def end(self, verdict: EndReason) -> None:
            ended.append(verdict)
            self.over.set()

    def claim(holder: str, room: int) -> list[Any]:
        claiming.set()
        assert may_claim.wait(30)
        return [SimpleNamespace(message=1, server=SERVER, conversation=uuid.uuid4(), asked=None, waited=0.0)]

    async def carry_out(live: Any) -> None:
        await live.over.wait()
        del dispatcher.lives[1]

    dispatcher = Dispatcher()
    monkeypatch.setattr(queue, "waiting", lambda: SimpleNamespace(exists=lambda: True))
    monkeypatch.setattr(claims, "claim", claim)
    monkeypatch.setattr(dispatch, "LiveReply", Played)
    monkeypatch.setattr(dispatcher, "_carry_out", carry_out)
    monkeypatch.setattr(dispatcher, "_started", True)
    claimer = asyncio.create_task(dispatcher._claim_for_ever())
    dispatcher.wake()
    assert await asyncio.to_thread(claiming.wait, 30)
    stopping = asyncio.create_task(dispatcher.stop())
    await asyncio.sleep(0)
    may_claim.set()
    await asyncio.wait_for(stopping, 30)
    claimer.cancel()
    assert ended == [EndReason.LET_GO]
