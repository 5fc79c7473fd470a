"""SQL that is written out, for what is asked many times a second: Django takes longer to build a query than a database to
answer it. All of a query's text is code; values come by its parameters alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from django.db import connection

AT_ONCE = 500  # rows in one statement: a database takes so many parameters


def fetch(query: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return list(cursor.fetchall())


def run(query: str, params: Sequence[Any] = ()) -> int:
    """Carry out one statement; return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return int(cursor.rowcount)


def insert(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """Insert rows, AT_ONCE with one statement; return their new ids, in order."""
    row, made = f"({marks(len(columns))})", list[int]()
    for start in range(0, len(rows), AT_ONCE):
        these = rows[start : start + AT_ONCE]
        every = ", ".join([row] * len(these))
        query = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {every} RETURNING id"  # noqa: S608 (all of it is code)
        made += [number for (number,) in fetch(query, [value for each in these for value in each])]
    return made


def marks(count: int) -> str:
    """Return the places of so many parameters, with commas."""
    return ", ".join(["%s"] * count)


def for_update() -> str:
    """Return what locks the rows of a SELECT: nothing on SQLite, where a transaction keeps all others out."""
    return "FOR UPDATE" if connection.features.has_select_for_update else ""


def stored(moment: datetime) -> Any:
    """Return a moment as the database takes it."""
    return connection.ops.adapt_datetimefield_value(moment)


def as_text(columns: str) -> str:
    """Return what makes one JSON text of all rows of a query, an array of these columns for each row."""
    if connection.vendor == "sqlite":
        return f"json_group_array(json_array({columns}))"
    return f"CAST(json_agg(json_build_array({columns})) AS text)"


def listed(values: Sequence[str] | Sequence[int], kind: Literal["text", "bigint"]) -> tuple[str, Any]:
    """Return a table `asked` of many values of a `kind`, in its column `value`, to be read FROM; and its one parameter."""
    if connection.vendor == "sqlite":
        return "json_each(%s) AS asked", orjson.dumps(values).decode()
    return f"unnest(%s::{kind}[]) AS asked(value)", list(values)
