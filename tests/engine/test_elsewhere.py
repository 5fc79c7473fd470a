"""What pages of other processes are told goes there in order, and much of it in one event."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from chat import elsewhere as module
from chat.elsewhere import Elsewhere

ONE, TWO = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, str]]]:
    """The events, each as its frames with their conversations."""
    events: list[list[tuple[str, str]]] = []

    def send(kind: str, **facts: Any) -> None:
        assert kind == "rooms"
        events.append(list(zip(facts["rooms"], facts["texts"], strict=True)))

    monkeypatch.setattr("models_admin.events.send", send)
    return events


async def test_growth_goes_with_what_is_whole_in_the_order_of_telling(sent: list[Any]) -> None:
    elsewhere = Elsewhere()
    elsewhere.tell(ONE, "grown", grows=True)
    elsewhere.tell(TWO, "whole")
    elsewhere.tell(ONE, "more", grows=True)
    assert sent == []
    await asyncio.sleep(0)
    assert sent == [[(str(ONE), "grown"), (str(TWO), "whole"), (str(ONE), "more")]]


async def test_growth_alone_waits_for_more(sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 3600)
    elsewhere = Elsewhere()
    elsewhere.tell(ONE, "w1", grows=True)
    await asyncio.sleep(0)
    elsewhere.tell(ONE, "w2", grows=True)
    assert sent == []
    elsewhere.flush()
    elsewhere.flush()
    assert sent == [[(str(ONE), "w1"), (str(ONE), "w2")]]
    monkeypatch.setattr(module, "SECONDS", 0)
    elsewhere.tell(ONE, "w3", grows=True)
    while len(sent) < 2:
        await asyncio.sleep(0)
    assert sent[1] == [(str(ONE), "w3")]


async def test_no_event_is_longer_than_its_bound(sent: list[Any]) -> None:
    elsewhere = Elsewhere()
    for _ in range(3):
        elsewhere.tell(ONE, "x" * (module.MOST_CHARS // 2), grows=True)
    elsewhere.flush()
    assert [len(each) for each in sent] == [2, 1]
