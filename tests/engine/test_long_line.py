"""What a switch has kept waiting is claimed in few transactions, the first of them a short one."""

from __future__ import annotations

from typing import Any

import pytest
from support import messages

from chat import claims
from chat.dispatch import FEWEST, Dispatcher
from chat.progress import ClaimedReply
from models_admin import db_threads

_a_model_is_loaded = messages._a_model_is_loaded


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_a_model_is_loaded")
async def test_a_long_line_is_claimed_to_its_end(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REPLIES_PER_USER = 100
    waiting = await db_threads.write(messages.say, "mara", 100)
    transactions: list[int] = []
    begun: list[ClaimedReply] = []
    claim = claims.claim

    def counted(holder: str, room: int) -> list[ClaimedReply]:
        found = claim(holder, room)
        transactions.append(len(found))
        return found

    monkeypatch.setattr(claims, "claim", counted)
    dispatcher = Dispatcher()
    monkeypatch.setattr(dispatcher, "begin", begun.append)
    assert await dispatcher._claim(), "some have waited"
    assert [each.message for each in begun] == waiting
    assert transactions == [FEWEST, 2 * FEWEST, 100 - 3 * FEWEST]
    assert not await dispatcher._claim()
