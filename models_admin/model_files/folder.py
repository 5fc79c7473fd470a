"""Reads a model's folder: its names, and bounded parts of its files. Nothing outside MODELS_DIR is opened."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from models_admin.model_files.report import Unjudged, named

MOST_ENTRIES = 5_000

Kind = Literal["file", "folder", "missing", "outside", "unreadable", "other"]


class TooSlow(Exception):
    """The time for looking is over."""


class NotJson(Exception):
    """A file should be a JSON object; str() says what is wrong, as the end of a clause."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in the folder, and what it leads to. "missing": a link to nothing; "outside": a link out of MODELS_DIR."""

    name: str
    kind: Kind
    path: str = ""
    size: int = 0


class Folder:
    """The folder of one model, as it was when it was opened. `deadline` is in time.monotonic()."""

    def __init__(self, entries: dict[str, Entry], deadline: float) -> None:
        self.entries = entries
        self._deadline = deadline

    @classmethod
    def open(cls, root: Path, name: str, deadline: float) -> Self:
        """List the folder `name` directly below `root`; raises Unjudged where there is none that may be read."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise Unjudged(f"“{named(name)}” is not the name of a folder")
        try:
            base = os.path.realpath(root, strict=True)
            place = os.path.realpath(f"{base}/{name}", strict=True)
            if not _within(place, base):
                raise Unjudged(
                    f"{named(name)} is a link that leads out of MODELS_DIR, so it is not looked at"
                )
            return cls({each.name: each for each in _entries(place, base, deadline)}, deadline)
        except (FileNotFoundError, NotADirectoryError):
            raise Unjudged(f"MODELS_DIR has no folder {named(name)}") from None
        except (OSError, ValueError) as error:
            raise Unjudged(f"{named(name)} in MODELS_DIR cannot be read ({words(error)})") from None

    def check_time(self) -> None:
        """Raise TooSlow where the deadline is over."""
        if time.monotonic() > self._deadline:
            raise TooSlow

    def has(self, name: str) -> bool:
        """Whether there is such a file, or a link that may lead to one."""
        return name in self.entries and self.entries[name].kind in ("file", "outside", "unreadable")

    def size(self) -> int:
        """Return the bytes of all files that lie directly in it."""
        return sum(each.size for each in self.entries.values())

    def json(self, name: str, most: int) -> dict[str, Any]:
        """Return the JSON object in a file of `most` bytes at most; raises NotJson, or Unjudged where it cannot be read."""
        entry = self.entries[name]
        if entry.size > most:
            raise NotJson(f"is {entry.size:,} bytes long, which no such file is")
        data = self.read(entry, most)
        if not data.strip(b"\0 \t\r\n"):
            raise NotJson("is empty")
        try:
            found = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise NotJson(f"is not JSON ({error.msg} in line {error.lineno})") from None
        if not isinstance(found, dict):
            raise NotJson("is JSON, but not an object")
        return found

    def read(self, entry: Entry, most: int, at: int = 0) -> bytes:
        """Return up to `most` bytes of a file, from `at` on; raises Unjudged where it cannot be read."""
        self.check_time()
        if entry.kind in ("outside", "unreadable"):
            why = "leads out of MODELS_DIR" if entry.kind == "outside" else "may not be read by Gantry's user"
            raise Unjudged(f"{named(entry.name)} {why}, so it was not looked at")
        try:
            opened = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return _pread(opened, most, at)
            finally:
                os.close(opened)
        except OSError as error:
            raise Unjudged(f"{named(entry.name)} cannot be read ({words(error)})") from None


def words(error: Exception) -> str:
    """Return what the system says of an error, without the path."""
    return str(getattr(error, "strerror", "") or type(error).__name__)


def _pread(opened: int, most: int, at: int) -> bytes:
    """Read until `most` bytes or the end: one read of a network's disk may be short."""
    parts: list[bytes] = []
    while most > 0 and (part := os.pread(opened, most, at)):
        parts.append(part)
        most -= len(part)
        at += len(part)
    return b"".join(parts)


def _within(place: str, base: str) -> bool:
    return os.path.commonpath([place, base]) == base and place != base


def _entries(place: str, base: str, deadline: float) -> list[Entry]:
    found: list[Entry] = []
    with os.scandir(place) as listing:
        for each in listing:
            if len(found) >= MOST_ENTRIES:
                raise Unjudged(f"There are more than {MOST_ENTRIES:,} files in its folder")
            if time.monotonic() > deadline:
                raise TooSlow
            found.append(_entry(each, base))
    return found


def _entry(listed: os.DirEntry[str], base: str) -> Entry:
    path = listed.path
    try:
        if listed.is_symlink():
            path = os.path.realpath(listed.path)
            if not _within(path, base):
                return Entry(listed.name, "outside")
        facts = Path(path).lstat()
    except FileNotFoundError:
        return Entry(listed.name, "missing")
    except (OSError, ValueError):
        return Entry(listed.name, "unreadable")
    if stat.S_ISDIR(facts.st_mode):
        return Entry(listed.name, "folder", path)
    if not stat.S_ISREG(facts.st_mode):
        return Entry(listed.name, "missing" if stat.S_ISLNK(facts.st_mode) else "other", path)
    readable = os.access(path, os.R_OK)
    return Entry(listed.name, "file" if readable else "unreadable", path, facts.st_size)
