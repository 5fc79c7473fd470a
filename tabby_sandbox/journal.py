"""The journal of requests, and how each ended. The values of keys are never kept."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEY_HEADERS = {"authorization": "bearer", "x-api-key": "x-api-key", "x-admin-key": "x-admin-key"}


@dataclass
class Record:
    """One request. Times are `time.time()`; `events` are those of a load, each `{"at", "data"}`.

    `outcome`: running, completed, refused, failed (a load), disconnected, aborted (by an unload), or the
    kind of the fault that ended the response.
    """

    id: int
    at: float
    method: str
    path: str
    headers: list[str]
    keys: list[str]
    body: Any = None
    permission: str | None = None
    status: int | None = None
    outcome: str = "running"
    ended_at: float | None = None
    fault: str | None = None
    model: str | None = None
    tokens: int | None = None
    first_token_at: float | None = None
    finish_reason: str | None = None
    usage: dict[str, int] | None = None  # tokens of prompt and completion, where the caller was told
    events: list[dict[str, Any]] = field(default_factory=list)

    def end(self, outcome: str) -> None:
        """Set the outcome, unless it is set already."""
        if self.outcome == "running":
            self.outcome = outcome
            self.ended_at = time.time()

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


class Journal:
    """The last requests, oldest first."""

    def __init__(self, size: int = 2000) -> None:
        self._records: deque[Record] = deque(maxlen=size)
        self._ids = itertools.count(1)

    def open(self, method: str, path: str, headers: list[str], body: Any) -> Record:
        """Add and return the record of a request; `headers` are names, `body` is the parsed JSON."""
        names = sorted({name.lower() for name in headers})
        keys = [_KEY_HEADERS[name] for name in names if name in _KEY_HEADERS]
        record = Record(next(self._ids), time.time(), method, path, names, keys, body)
        self._records.append(record)
        return record

    def clear(self) -> None:
        self._records.clear()

    def as_json(self, path: str | None) -> list[dict[str, Any]]:
        """Return all records, or those of one path."""
        return [record.as_json() for record in self._records if path in {None, record.path}]
