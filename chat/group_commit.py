"""Group commit: messages that come while others are written wait here, and are then written in one transaction."""

from __future__ import annotations

import asyncio
from contextvars import Context

from chat import sends
from chat.dispatch import Dispatcher, dispatcher
from chat.rooms import rooms
from chat.sends import Send, Sent
from models_admin import db_threads

TOGETHER = 64  # messages in one transaction


class GroupCommit:
    """The messages that people send through this process; `dispatcher` begins their replies."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiting: list[tuple[Send, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def send(self, send: Send) -> None:
        """Have a message written, its pages sent the events, and its reply begun if it may start; raises what refused it."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((send, written))
        if self._writing is None or self._writing.done():
            # In a context of its own, because its log lines are about many requests.
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())
        await written

    async def _write(self) -> None:
        while self._waiting:
            taken = self._take()
            try:
                with self._dispatcher.claiming() as claiming:
                    found = await db_threads.write(sends.send, [each for each, _ in taken], claiming=claiming)
                    for (send, written), sent in zip(taken, found, strict=True):
                        self._answer(send, written, sent)
            except Exception as error:  # noqa: BLE001 (whoever waits must hear of it)
                for _, written in taken:
                    if not written.done():
                        written.set_exception(error)

    def _answer(self, send: Send, written: asyncio.Future[None], sent: Sent | Exception) -> None:
        """Send the events, begin the reply, and end the sender's wait; the sender may have gone meanwhile."""
        if isinstance(sent, Sent):
            for event in sent.events:
                rooms.tell(send.conversation, event)
            if sent.work is not None:
                self._dispatcher.begin(sent.work)
            else:
                self._dispatcher.wake()
        if written.done():
            return
        if isinstance(sent, Sent):
            written.set_result(None)
        else:
            written.set_exception(sent)

    def _take(self) -> list[tuple[Send, asyncio.Future[None]]]:
        """Take the next messages, in their order and TOGETHER at most, but only the first of each conversation."""
        taken: dict[object, tuple[Send, asyncio.Future[None]]] = {}
        left = []
        for each in self._waiting:
            where = each[0].conversation
            if where in taken or len(taken) == TOGETHER:
                left.append(each)
            else:
                taken[where] = each
        self._waiting = left
        return list(taken.values())


group_commit = GroupCommit(dispatcher)
