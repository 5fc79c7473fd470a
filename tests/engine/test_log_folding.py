"""A trouble that lasts is a line a minute; what is no trouble of Redis or the database is told as it is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis
from django.db import InterfaceError, OperationalError
from psycopg import errors

from gantry_site.log_folding import Folded


class Kept(logging.Handler):
    """What a log would show."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(Folded(seconds))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += self.format(record).splitlines()


def log_of(kept: Kept, name: str = "models_admin.tests") -> logging.Logger:
    logger = logging.Logger(name)
    logger.addHandler(kept)
    return logger


def failing(logger: logging.Logger, error: Exception, times: int) -> None:
    for _ in range(times):
        try:
            raise error
        except Exception as each:
            logger.exception("It failed", exc_info=each)


@pytest.mark.parametrize(
    "error", [redis.ResponseError("OOM command not allowed"), OperationalError("database is locked")]
)
def test_a_hundred_tracebacks_are_one_line(error: Exception) -> None:
    kept = Kept(60)
    failing(log_of(kept), error, 100)
    assert kept.lines == [f"It failed ({type(error).__name__}: {error})"]


def test_all_that_redis_causes_is_one_trouble() -> None:
    kept = Kept(60)
    log_of(kept).warning("Not taken (%s)", redis.ReadOnlyError("no"))
    try:
        try:
            raise redis.ReadOnlyError("no")
        except redis.RedisError as error:
            raise RuntimeError("Couldn't apply") from error
    except RuntimeError:
        log_of(kept, "celery.beat").exception("Message Error")
    try:
        try:
            raise redis.ReadOnlyError("no")
        except redis.RedisError:
            raise RuntimeError("Couldn't apply")  # noqa: B904 (as Celery's beat does)
    except RuntimeError:
        log_of(kept, "celery.beat").exception("Message Error")
    assert kept.lines == ["Not taken (no)"]


def test_the_next_line_says_how_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("gantry_site.log_folding.time.monotonic", lambda: now)
    kept = Kept(60)
    failing(log_of(kept), OperationalError("gone"), 5)
    now += 61
    failing(log_of(kept), OperationalError("gone"), 2)
    assert kept.lines == [
        "It failed (OperationalError: gone)",
        "It failed (OperationalError: gone) [and 4 more like this]",
    ]


def test_a_bug_met_while_redis_is_dealt_with_keeps_its_traceback() -> None:
    kept = Kept(60)
    for _ in range(2):
        try:
            try:
                raise redis.ConnectionError("refused")
            except redis.RedisError:
                raise TypeError("a bug")  # noqa: B904 (as a bug does)
        except TypeError:
            log_of(kept).exception("It failed")
    assert kept.lines.count("It failed") == 2
    assert kept.lines.count("TypeError: a bug") == 2


def test_two_troubles_of_a_database_are_two_lines() -> None:
    kept = Kept(60)
    logger = log_of(kept)
    for said in ("database is locked", "unable to open database file", "database is locked"):
        failing(logger, OperationalError(said), 3)
    failing(logger, InterfaceError("database is locked"), 3)
    assert kept.lines == [
        "It failed (OperationalError: database is locked)",
        "It failed (OperationalError: unable to open database file)",
        "It failed (InterfaceError: database is locked)",
    ]


def test_postgresqls_code_tells_its_troubles_apart() -> None:
    kept = Kept(60)
    logger = log_of(kept)
    for cause in (errors.DeadlockDetected("1"), errors.AdminShutdown("2"), errors.DeadlockDetected("3")):
        try:
            raise OperationalError(f"detail {cause}") from cause
        except OperationalError:
            logger.exception("It failed")
    assert kept.lines == [
        "It failed (OperationalError: detail 1)",
        "It failed (OperationalError: detail 2)",
    ]


def test_celerys_warnings_are_folded_and_what_fails_in_a_task_is_not() -> None:
    kept = Kept(60)
    for attempt in range(3):
        log_of(kept, "celery.worker.consumer").error("Cannot connect: try %d", attempt)
    assert kept.lines == ["Cannot connect: try 0"]
    failing(log_of(kept, "celery.app.trace"), ValueError("a bug"), 2)
    assert sum("Traceback" in line for line in kept.lines) == 2


def test_other_records_are_left_alone() -> None:
    kept = Kept(60)
    failing(log_of(kept), KeyError("a bug"), 2)
    words: Any = {"name": "x"}
    for _ in range(2):
        log_of(kept).warning("Switch %s failed", 7)
        log_of(kept).info("about %(name)s", words)
    assert sum("Traceback" in line for line in kept.lines) == 2
    assert kept.lines[-4:] == ["Switch 7 failed", "about x"] * 2
