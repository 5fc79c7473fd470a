"""Folds repeated log records: a trouble that lasts is one line a minute, with the number of records left out.

Only the errors of Redis and of a database that is away are folded, and the warnings of Celery and kombu. They lose their
traceback, which would only show what Gantry was doing when Redis failed. An error of Gantry's own that was raised while it
handled such a trouble is not folded, and keeps its traceback.
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
TASKS = "celery.app.trace"  # logs errors of Gantry's own tasks
OUTSIDE = (redis.RedisError, BrokerError, OperationalError, InterfaceError)
# So many words of a database's error tell one trouble from another: what follows may be a name, a number or a time.
KEY_WORDS = 3


class Folded(logging.Filter):
    """Lets the first record of a trouble through, then one each `seconds`, which says how many were left out."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self.seconds = seconds
        self._lock = threading.Lock()
        self._written_at: dict[Hashable, float] = {}
        self._left_out: dict[Hashable, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record; a trouble's record is changed to one line without a traceback."""
        error = next(_errors(record), None)
        trouble = _trouble(record, error)
        if trouble is None:
            return True
        with self._lock:
            now = time.monotonic()
            if now - self._written_at.get(trouble, -self.seconds) < self.seconds:
                self._left_out[trouble] = self._left_out.get(trouble, 0) + 1
                return False
            self._written_at[trouble] = now
            left_out = self._left_out.pop(trouble, 0)
        words = record.getMessage().split("\n")[0]
        if error is not None and str(error) not in words:
            words = f"{words} ({type(error).__name__}: {error})"
        record.msg, record.args = f"{words} [and {left_out} more like this]" if left_out else words, ()
        if error is not None or record.name.startswith(CHATTY):
            record.exc_info, record.exc_text = None, None
        return True


def _trouble(record: logging.LogRecord, error: BaseException | None) -> Hashable | None:
    """Return the key of the trouble that a record reports: records with equal keys are folded. None: not folded."""
    if record.levelno < logging.WARNING:
        return None
    if isinstance(error, (redis.RedisError, BrokerError)):
        return "redis"
    if error is not None:
        return (record.name, type(error), _error_key(error))
    if _of_celery(record):
        return (record.name, record.lineno)
    return None


def _of_celery(record: logging.LogRecord) -> bool:
    return record.name.startswith(CHATTY) and not record.name.startswith(TASKS)


def _error_key(error: BaseException) -> str:
    """Return what tells one error of a database from another: PostgreSQL's SQLSTATE, or the first words."""
    code = getattr(error.__cause__, "sqlstate", None)
    return str(code or " ".join(str(error).split()[:KEY_WORDS]))


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    """Yield the errors of Redis, its broker or the database that a record carries, as its exception or its arguments.

    An error's cause (`raise … from`) counts too. For records of Celery, which raises without `from`, its context counts.
    """
    args = record.args.values() if isinstance(record.args, dict) else record.args or ()
    carried = [record.exc_info[1] if record.exc_info else None, record.msg, *args]
    for each in carried:
        error = each if isinstance(each, BaseException) else None
        while error is not None:
            if isinstance(error, OUTSIDE):
                yield error
            error = error.__cause__ or (error.__context__ if _of_celery(record) else None)
