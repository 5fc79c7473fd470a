"""Tables filled in the fastest way that the database has: Django's own takes minutes for a million rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Model
from psycopg.types.json import Jsonb

from chat import word_index

# PostgreSQL's CREATE of each index, but for those of constraints, and of each key that points elsewhere.
_INDEXES = """SELECT format('DROP INDEX %%I', c.relname), pg_get_indexdef(c.oid) FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)"""
_KEYS = """SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', k.conrelid::regclass, k.conname),
  format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
  FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid = %s::regclass"""
_SQLITE_INDEXES = """SELECT 'DROP INDEX "' || name || '"', sql FROM sqlite_master
  WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = %s"""


@contextmanager
def bare(cursor: Any, table: str) -> Iterator[None]:
    """Let the table be filled without indexes, keys and triggers: all are made again behind the last row."""
    on_postgres = connection.vendor == "postgresql"
    found: list[tuple[str, str]] = []
    for query in (_INDEXES, _KEYS) if on_postgres else (_SQLITE_INDEXES,):
        cursor.execute(query, [table])
        found += cursor.fetchall()
    if on_postgres:
        # No table is altered while checks of it are still to come.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    else:
        word_index.drop_triggers(cursor)
    for drop, _ in found:
        cursor.execute(drop)
    yield
    for _, make in found:
        cursor.execute(make)
    if on_postgres:
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    else:
        word_index.make_triggers(connection)


def insert(model: type[Model], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write the rows, with the model's defaults in the columns that are not named."""
    table = model._meta.db_table
    others = [
        each for each in model._meta.concrete_fields if each.attname not in (*columns, "id") and not each.null
    ]
    defaults = tuple(each.get_default() for each in others)
    names = ", ".join((*columns, *(each.attname for each in others)))
    on_postgres = connection.vendor == "postgresql"
    plain: dict[type, Callable[[Any], Any]] = {dict: Jsonb, list: Jsonb} if on_postgres else AS_SQLITE_HAS_IT
    ready = (tuple(plain[type(v)](v) if type(v) in plain else v for v in (*row, *defaults)) for row in rows)
    with connection.cursor() as cursor, bare(cursor, table):
        if on_postgres:
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in ready:
                    copy.write_row(row)
        else:
            marks = ", ".join(["?"] * (len(columns) + len(others)))
            cursor.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", ready)


@lru_cache(maxsize=64)
def _moment(value: datetime) -> str:
    return str(value.replace(tzinfo=None))


AS_SQLITE_HAS_IT: dict[type, Callable[[Any], Any]] = {
    datetime: _moment,
    uuid.UUID: lambda value: value.hex,
    dict: json.dumps,
    list: json.dumps,
}
