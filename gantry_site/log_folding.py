"""A trouble that lasts is one log line a minute: what others below Gantry fail in again and again is counted, not repeated.

Only troubles of Redis and of a database that is away are folded, and what Celery and kombu warn of. They are told in a
line each: a traceback would say where Gantry stood when Redis failed, which is no news. An error of Gantry's own that came
up while it dealt with such a trouble is none, and keeps its traceback.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Iterator

import redis
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError

SECONDS = 60.0
CHATTY = ("celery", "kombu")
TASKS = "celery.app.trace"  # what went wrong in a task of ours
OUTSIDE = (redis.RedisError, BrokerError, OperationalError, InterfaceError)
# Of what a database says these tell one trouble from another: what follows may be a name, a number or a time.
FIRST_WORDS = 3


class Folded(logging.Filter):
    """Lets the first record of a trouble through, and later one a minute, which says how many there were."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self.seconds = seconds
        self._lock = threading.Lock()
        self._told: dict[Hashable, float] = {}
        self._more: dict[Hashable, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; one that is has no traceback."""
        error = next(_errors(record), None)
        trouble = _trouble(record, error)
        if trouble is None:
            return True
        with self._lock:
            now = time.monotonic()
            if now - self._told.get(trouble, -self.seconds) < self.seconds:
                self._more[trouble] = self._more.get(trouble, 0) + 1
                return False
            self._told[trouble] = now
            more = self._more.pop(trouble, 0)
        words = record.getMessage().split("\n")[0]
        if error is not None and str(error) not in words:
            words = f"{words} ({type(error).__name__}: {error})"
        record.msg, record.args = f"{words} [and {more} more like this]" if more else words, ()
        if error is not None or record.name.startswith(CHATTY):
            record.exc_info, record.exc_text = None, None
        return True


def _trouble(record: logging.LogRecord, error: BaseException | None) -> Hashable | None:
    """What a record is about, the same for all that are folded into one; None for what is not folded."""
    if record.levelno < logging.WARNING:
        return None
    if isinstance(error, (redis.RedisError, BrokerError)):
        return "redis"
    if error is not None:
        return (record.name, type(error), _said(error))
    if _of_celery(record):
        return (record.name, record.lineno)
    return None


def _of_celery(record: logging.LogRecord) -> bool:
    return record.name.startswith(CHATTY) and not record.name.startswith(TASKS)


def _said(error: BaseException) -> str:
    """What a database said, the same as often as it says it: PostgreSQL's SQLSTATE, or the first words."""
    code = getattr(error.__cause__, "sqlstate", None)
    return str(code or " ".join(str(error).split()[:FIRST_WORDS]))


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    """The errors of Redis or the database that a record carries, in its traceback or among its words.

    Those that an error was raised from count as its own; what was just being dealt with does so for Celery, which raises
    its errors so.
    """
    said = record.args.values() if isinstance(record.args, dict) else record.args or ()
    carried = [record.exc_info[1] if record.exc_info else None, record.msg, *said]
    for each in carried:
        error = each if isinstance(each, BaseException) else None
        while error is not None:
            if isinstance(error, OUTSIDE):
                yield error
            error = error.__cause__ or (error.__context__ if _of_celery(record) else None)
