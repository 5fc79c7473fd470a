"""The log of `manage.py up`: what its children print, as whole lines on one stream, each behind the name of its child."""

from __future__ import annotations

import errno
import io
import json
import os
import select
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from models_admin.visible import visible

# What a child writes without a line's end is printed as a line when it is longer than this, in bytes.
LONGEST_LINE = 65536
# How long a line waits for a slow reader of the log. Once one was lost, the next ones do not wait.
READER_SECONDS = 1.0
NOBODY_READS = (errno.EPIPE, errno.EIO)
COLORS = (36, 33, 32, 35, 34, 96, 93, 92)


class Log:
    """Prints the children's output on `stream`, as text or (`as_json`) as one JSON object a line.

    Lines that the stream does not take are lost, and counted in a line of their own as soon as it takes one again.
    `reader_gone` is true from the moment that nobody can read the stream any more.
    """

    def __init__(self, stream: TextIO, names: Sequence[str], *, as_json: bool = False) -> None:
        self.stream = stream
        self.as_json = as_json
        self.names = list(names)
        self.width = max(len(name) for name in [*names, "gantry"])
        self.colored = stream.isatty() and "NO_COLOR" not in os.environ
        self.partial: dict[str, bytes] = {}
        self.lost = 0  # lines that were not written: the disk was full, or the reader too slow
        self.lost_because = ""
        self.torn = False  # whether the last bytes written are the beginning of a lost line
        try:
            self.stream.flush()
            self.raw: io.FileIO | None = io.FileIO(self.stream.fileno(), "w", closefd=False)
        except OSError:  # a stream in memory
            self.raw = None
        self.reader_gone = False  # the terminal is gone, or the pipe is closed

    def feed(self, name: str, data: bytes) -> None:
        """Take what the child `name` has written: print complete lines, keep the rest for later."""
        *lines, rest = (self.partial.pop(name, b"") + data).split(b"\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        if rest:
            self.partial[name] = rest
        for line in lines:
            self.say(line.decode(errors="replace").rstrip("\r"), name)

    def end(self, name: str) -> None:
        """Print what `name` left without a line's end."""
        if name in self.partial:
            self.feed(name, b"\n")

    def say(self, text: str, name: str = "gantry") -> None:
        """Print `text`, one line, behind `name`."""
        line = f"{_as_event(text, name) if self.as_json else self._as_line(text, name)}\n"
        if self.lost:
            note = f"{self.lost} lines could not be written, as {self.lost_because}"
            line = f"{_as_event(note, 'gantry') if self.as_json else self._as_line(note, 'gantry')}\n{line}"
        try:
            self._write(f"\n{line}" if self.torn else line)
            self.lost = 0
        except OSError as error:
            if error.errno in NOBODY_READS:
                self.reader_gone = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            else:
                self.lost += 1
                slow = isinstance(error, BlockingIOError)
                self.lost_because = "they were not read in time" if slow else "the disk was full"

    def _write(self, line: str) -> None:
        """Write past the stream's buffer, which would keep what a full disk does not take."""
        if self.raw is None:
            self.stream.write(line)
            return
        data = line.encode(errors="replace")
        ends = time.monotonic() + (0 if self.lost else READER_SECONDS)
        while data:
            taken = self.raw.write(data)
            if taken:
                data = data[taken:]
                self.torn = bool(data)
            elif not select.select([], [self.raw], [], max(0, ends - time.monotonic()))[1]:
                raise BlockingIOError(errno.EAGAIN, "nobody reads the log")

    def _as_line(self, text: str, name: str) -> str:
        prefix = f"{name:<{self.width}} |"
        if self.colored:
            color = COLORS[self.names.index(name) % len(COLORS)] if name in self.names else 1
            prefix = f"\033[{color}m{prefix}\033[0m"
        return f"{prefix} {visible(text)}"


def _as_event(text: str, name: str) -> str:
    """Return a line as a JSON object with the name of its process; a line that is none becomes its `message`."""
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "level": "INFO", "logger": name, "message": text}
    return json.dumps({**event, "process": name}, ensure_ascii=False)
