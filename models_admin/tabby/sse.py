"""Decodes server-sent events: bytes in, the events' data out. Pure: no clock, no socket.

The format is the HTML standard's "text/event-stream". Only `data` is kept: TabbyAPI sends nothing else but
comments (pings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_KEPT = 4 * 1024 * 1024
SLICE = 2048  # bytes: as many lines at most, and about a millisecond
_USUAL_LINE = 32  # bytes; TabbyAPI's are longer
_BREAK = re.compile(rb"\r\n|\n|\r")
# Any number of empty lines and comments where no event has begun.
_SKIPPED = re.compile(rb"(?:(?::[^\r\n]*+)?(?:\r\n|\n|\r))++")
_COMMENT = re.compile(rb"(?:\A|[\r\n]):")
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"event", b"id", b"retry")


def slices(chunk: bytes) -> Iterator[bytes]:
    """Yield `chunk` in pieces that each take little time to decode.

    It stays whole where it looks like events. Where it is mostly line breaks, it is cut: megabytes of these would hold the
    event loop for seconds.
    """
    if max(chunk.count(b"\n"), chunk.count(b"\r")) * _USUAL_LINE <= len(chunk) + SLICE:
        yield chunk
        return
    for start in range(0, len(chunk), SLICE):
        yield chunk[start : start + SLICE]


class EventTooLong(ValueError):
    """An event does not end within the decoder's limit."""


class SseDecoder:
    """Cuts a stream of bytes, in pieces of any size, into the data of its events.

    `limit` bounds, in bytes, what is kept of an event that has not ended. `comments` counts the comment lines
    seen (pings: no progress), `junk` the lines that are neither fields nor comments (a page of HTML has
    many).
    """

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self.comments = 0
        self.junk = 0
        self._limit = limit
        self._held: list[bytes] = []  # pieces of a line that has not ended
        self._held_size = 0
        self._data: list[bytes] = []  # data lines of an event that has not ended
        self._data_size = 0
        self._after_cr = False  # a line feed that comes next belongs to the break before
        self._first = True

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._data) or self._held_size > 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that `chunk` completes, in order; data lines are joined by a line feed.

        Raises EventTooLong when more than the limit would have to be kept.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:
            self._hold(chunk)
            return []
        if self._held:
            chunk = b"".join((*self._held, chunk))
            self._held.clear()
            self._held_size = 0

        events: list[bytes] = []
        start = self._lines(chunk, 0, events, one=True) if self._data else 0
        end = chunk.rfind(b"\r\n\r\n", start) + 4
        if end > 3 and self._bulk(chunk[start:end], events):
            start = end
            if start == len(chunk):
                return events
        start = self._lines(chunk, start, events)
        if start < len(chunk):
            self._hold(chunk[start:])
        return events

    def _bulk(self, head: bytes, events: list[bytes]) -> bool:
        """Append the data of `head` (whole events) to `events` if each is one `data: ` line ended by CRLF CRLF.

        Return whether it is. TabbyAPI sends this form, and taking it at once costs a tenth of going line by line.
        """
        if not head.startswith(b"data: "):
            return False
        parts = head[6:-4].split(b"\r\n\r\ndata: ")
        # No other line breaks than the separators': each part is one whole line.
        breaks = 2 * len(parts)
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
            return False
        events += parts
        self._first = False
        return True

    def _lines(self, chunk: bytes, start: int, events: list[bytes], *, one: bool = False) -> int:
        """Take lines from `start` on, to the last break or (`one`) the end of the first event; return the new start."""
        while True:
            if not self._data and (skipped := _SKIPPED.match(chunk, start)):
                self.comments += len(_COMMENT.findall(skipped[0]))
                self._first = False
                start = skipped.end()
            match = _BREAK.search(chunk, start)
            if match is None:
                break
            line = chunk[start : match.start()]
            start = match.end()
            if self._first:
                self._first = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._data_size = 0
                if one:
                    break
        self._after_cr = start == len(chunk) and chunk.endswith(b"\r")
        return start

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data_size += len(value) + 1
            self._check()
            self._data.append(value[1:] if value[:1] == b" " else value)
        elif not name:
            self.comments += 1
        elif name not in _FIELDS:
            self.junk += 1

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held_size += len(piece)
            self._check()
            self._held.append(piece)

    def _check(self) -> None:
        if self._held_size + self._data_size > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit:,} bytes")
