"""What the pages of other web processes are told: of all conversations together, in order, in few events.

What is whole goes out with all that came in the same turn of the loop; growth, with what comes within a moment. An event a
frame would cost several times as much, here and in each of the others.
"""

from __future__ import annotations

import asyncio
import uuid

from models_admin import events

SECONDS = 0.05  # for which growth waits for more
MOST_CHARS = 256 * 1024  # in one event, but for a longer frame


class Elsewhere:
    """Frames on their way to other processes."""

    def __init__(self) -> None:
        self._rooms: list[str] = []
        self._texts: list[str] = []
        self._chars = 0
        self._timer: asyncio.Handle | None = None
        self._soon = False

    def tell(self, conversation: uuid.UUID, text: str, *, grows: bool = False) -> None:
        """Send one JSON text to the conversation's pages; `grows`: it may wait a moment for others."""
        if self._chars + len(text) > MOST_CHARS:
            self.flush()
        self._rooms.append(str(conversation))
        self._texts.append(text)
        self._chars += len(text)
        if self._timer is None and grows:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.flush)
        elif not grows and not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what waits."""
        if self._timer is not None:
            self._timer.cancel()
        rooms, texts = self._rooms, self._texts
        self._rooms, self._texts, self._chars, self._timer, self._soon = [], [], 0, None, False
        if texts:
            events.send_to_others("rooms", rooms=rooms, texts=texts)


elsewhere = Elsewhere()
