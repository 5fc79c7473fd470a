"""What is done once, or only where something was touched, instead of anew for each test.

A pytest plugin, named in tests/conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase
from whitenoise.middleware import WhiteNoiseMiddleware

# Rows that Django makes after each flush. As long as they are as it made them, no flush is needed.
MADE_BY_DJANGO = ("django_content_type", "auth_permission")
Rows = dict[str, list[tuple[Any, ...]]]


def rows_of_django(connection: BaseDatabaseWrapper) -> Rows:
    """What stands in the tables that Django fills."""
    found: Rows = {}
    with connection.cursor() as cursor:
        for table in MADE_BY_DJANGO:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY id")
            found[table] = cursor.fetchall()
    return found


def empty(connection: BaseDatabaseWrapper) -> None:
    """Delete all rows but Django's own, as a flush does; a table that is empty already is only looked at."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    quoted = {name: connection.ops.quote_name(name) for name in names if name not in MADE_BY_DJANGO}
    looks = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {table})" for name, table in quoted.items())
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {quoted[name]}")


class Reset:
    """Leaves each database, after a test with transactions of its own, as Django's flush leaves it."""

    def __init__(self, flush: Callable[[TransactionTestCase], None]) -> None:
        self.flush = flush
        self.flushed: dict[str, Rows] = {}

    def __call__(self, case: TransactionTestCase) -> None:
        connection = connections["default"]
        if self.flushed.get(connection.alias) == rows_of_django(connection):
            empty(connection)
        else:
            self.flush(case)
            self.flushed[connection.alias] = rows_of_django(connection)


@pytest.fixture(scope="session", autouse=True)
def _quick_reset() -> Iterator[None]:
    """Undo what a test has done to the database, and no more."""
    reset = Reset(TransactionTestCase._fixture_teardown)

    def teardown(case: TransactionTestCase) -> None:
        reset(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_found_once() -> Iterator[None]:
    """Each test client has a middleware of its own, which would look through all folders of static files."""
    search = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[tuple[object, ...], dict[str, Any]] = {}

    def add_files(self: WhiteNoiseMiddleware) -> None:
        told = (self.static_prefix, self.max_age, self.allow_all_origins, self.charset, self.static_root)
        if told not in found:
            search(self)
            found[told] = dict(self.files)
        self.files = dict(found[told])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files)
        yield
