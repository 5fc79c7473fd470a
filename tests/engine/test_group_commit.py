"""Messages that come while others are written wait, and are then written together."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from chat import group_commit, sends
from chat.group_commit import GroupCommit
from chat.sends import Send, Sent

pytestmark = pytest.mark.django_db(transaction=True)  # the threads look after the connections that they keep


class Written:
    """What is written together; the first writing lasts until `go_on`."""

    def __init__(self) -> None:
        self.together: list[list[Send]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def send(self, asked: Sequence[Send], *, claiming: bool) -> list[Sent | Exception]:
        self.together.append(list(asked))
        self.begun.set()
        assert self.go_on.wait(30)
        return [ValueError(each.text) if each.text == "refused" else Sent([]) for each in asked]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    made = Written()
    monkeypatch.setattr(sends, "send", made.send)
    return made


def group() -> GroupCommit:
    played: Any = SimpleNamespace(claiming=lambda: nullcontext(True), wake=lambda: None)
    return GroupCommit(played)


def saying(text: str, where: uuid.UUID | None = None) -> Send:
    return Send(where or uuid.uuid4(), uuid.uuid4(), text)


async def begin(commit: GroupCommit, written: Written, *later: Send) -> list[asyncio.Task[None]]:
    """Send one message, and while it is written the others; return what waits for these."""
    first = asyncio.create_task(commit.send(saying("first")))
    assert await asyncio.to_thread(written.begun.wait, 30)
    waiting = [asyncio.create_task(commit.send(each)) for each in later]
    await asyncio.sleep(0)  # each of them runs once, up to where it waits
    written.go_on.set()
    await asyncio.wait_for(first, 30)
    return waiting


async def test_what_comes_while_one_is_written_is_written_together(written: Written) -> None:
    later = [saying(str(number)) for number in range(5)]
    waiting = await begin(group(), written, *later)
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert written.together[1:] == [later]


async def test_only_so_many_are_written_together(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "TOGETHER", 2)
    later = [saying(str(number)) for number in range(5)]
    waiting = await begin(group(), written, *later)
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert written.together[1:] == [later[:2], later[2:4], later[4:]]


async def test_two_of_one_conversation_are_written_one_after_the_other(written: Written) -> None:
    where = uuid.uuid4()
    one, other, two = saying("one", where), saying("other"), saying("two", where)
    waiting = await begin(group(), written, one, two, other)
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert written.together[1:] == [[one, other], [two]]


async def test_each_hears_what_has_come_of_his_own(written: Written) -> None:
    waiting = await begin(group(), written, saying("well"), saying("refused"), saying("well"))
    found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(each) for each in found] == [type(None), ValueError, type(None)]


async def test_all_hear_that_nothing_could_be_written(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(asked: Sequence[Send], *, claiming: bool) -> list[Sent]:
        assert written.go_on.wait(30)
        raise RecursionError

    commit = group()
    later = [saying("one"), saying("two")]
    first = asyncio.create_task(commit.send(saying("first")))
    assert await asyncio.to_thread(written.begun.wait, 30)
    waiting = [asyncio.create_task(commit.send(each)) for each in later]
    monkeypatch.setattr(sends, "send", broken)
    written.go_on.set()
    await asyncio.wait_for(first, 30)
    found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(each) for each in found] == [RecursionError] * 2


async def test_who_has_gone_meanwhile_keeps_nobody_else_back(written: Written) -> None:
    commit, gone, here = group(), saying("gone"), saying("here")
    first = asyncio.create_task(commit.send(saying("first")))
    assert await asyncio.to_thread(written.begun.wait, 30)
    leaving, staying = (asyncio.create_task(commit.send(each)) for each in (gone, here))
    await asyncio.sleep(0)
    leaving.cancel()
    written.go_on.set()
    await asyncio.wait_for(asyncio.gather(first, staying), 30)
    assert written.together[1:] == [[gone, here]], "what has been sent is written"
