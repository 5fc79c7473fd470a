"""Two processes on one database, played by one: each under a name of its own, and connections that wait for no lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from models_admin import process
from models_admin.models import Lease, Switch

T = TypeVar("T")
LONG_AGO = timedelta(hours=1)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """What is done in the block is done by the process `name`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "name", lambda: name)
        yield


def let_owner_die(switch: Switch) -> None:
    """Nobody has heard of the switch's owner for long."""
    Switch.objects.filter(pk=switch.pk).update(heartbeat=timezone.now() - LONG_AGO)


def let_holders_die() -> None:
    """Nobody has heard of those who hold leases for long."""
    Lease.objects.update(heartbeat=timezone.now() - LONG_AGO)


def has_to_wait(work: Callable[[], T]) -> bool:
    """Whether `work`, done through a connection of its own that waits for no lock, is kept out by the caller's transaction.

    It is done if nothing keeps it out.
    """
    met: list[OperationalError] = []
    sqlite = connection.vendor == "sqlite"

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 0" if sqlite else "SET lock_timeout = '50ms'")
            work()
        except OperationalError as error:
            met.append(error)
        finally:
            if not sqlite:  # the connection goes back to the pool, and to whoever needs one next
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "it neither ended nor was refused"
    return bool(met)


def kept_waiting(work: Callable[[], object]) -> Callable[[], None]:
    """Begin `work` through a connection of its own; return when it waits for what the caller's transaction has locked.

    To be called in the end, outside of that transaction: what is returned. It raises what the database refused `work`.
    """
    failed: list[DatabaseError] = []

    def run() -> None:
        try:
            work()
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    while connection.vendor == "postgresql" and thread.is_alive() and not _somebody_waits():
        thread.join(0.01)

    def ended() -> None:
        thread.join(30)
        assert not thread.is_alive(), "it still waits"
        if failed:
            raise failed[0]

    return ended


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        cursor.execute(
            f"SELECT EXISTS ({waiting})"
        )  # of this database: other tests have theirs on the same server
        return bool(cursor.fetchone()[0])
