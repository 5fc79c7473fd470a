"""How the database carries out what the code asks of it: which tables it walks through from end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

# Never more rows than administrators have made by hand, whatever happens.
SMALL = {
    "models_admin_alias",
    "models_admin_check",
    "models_admin_server",
    "models_admin_lease",
    "models_admin_rule",
    "models_admin_worker",
    "sqlite_sequence",
}
Query = tuple[str, Any]


@contextmanager
def asked() -> Iterator[list[Query]]:
    """The statements that are sent meanwhile, with their parameters still apart: some planners look at neither or both."""
    found: list[Query] = []

    def keep(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE|INSERT .* SELECT)", sql, re.DOTALL):
            found.extend((sql, each) for each in (list(params)[:1] if many else [params]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield found


def walks(work: Callable[[], Any], but: str = "no such words") -> list[str]:
    """Do `work`; return what its statements walk through from end to end, each as “table: the statement”.

    The first rows of a table in the order of an index, with no condition on them, are no walk; nor are statements with the
    words `but`.
    """
    with asked() as queries:
        work()
    look = _on_sqlite if connection.vendor == "sqlite" else _on_postgres
    return [
        f"{table}: {sql}"
        for sql, params in queries
        if but not in sql
        for table in look(sql, params)
        if table not in SMALL
    ]


def _explained(how: str, sql: str, params: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"{how} {sql}", params)
        return list(cursor.fetchall())


def _on_sqlite(sql: str, params: Any) -> Iterator[str]:
    if "LIMIT" in sql and "WHERE" not in sql:
        return
    names = {alias: table for table, alias in re.findall(r'"(\w+)" ([A-Z]\d+)\b', sql)}
    plan = [detail for *_, detail in _explained("EXPLAIN QUERY PLAN", sql, params)]
    # What a subquery has chosen already is no table.
    chosen = {each[1] for detail in plan if (each := re.match(r"(?:CO-ROUTINE|MATERIALIZE) (\w+)", detail))}
    for detail in plan:
        walk = re.match(r"SCAN (?!CONSTANT ROW)(\w+)", detail)
        if walk and walk[1] not in chosen and "VIRTUAL TABLE" not in detail:
            yield names.get(walk[1], walk[1])


def _on_postgres(sql: str, params: Any) -> Iterator[str]:
    ((plan,),) = _explained("EXPLAIN (FORMAT JSON)", sql, params)
    with connection.cursor() as cursor:
        # To read a few pages from end to end is what a planner should do, of a table as of a partial index.
        cursor.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'i') AND reltuples > 1000")
        large = {name for (name,) in cursor.fetchall()}
    yield from _of_node((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"], large)


def _of_node(node: dict[str, Any], large: set[str], *, first_rows: bool = False) -> Iterator[str]:
    """`first_rows`: no more than some are wanted, and the planner, who knows how many fit, expects to find them soon."""
    kind, unbounded = node["Node Type"], "Filter" in node and "Index Cond" not in node
    if kind == "Seq Scan" and node["Relation Name"] in large:
        yield node["Relation Name"]
    if (
        kind in ("Index Scan", "Index Only Scan")
        and unbounded
        and not first_rows
        and node["Index Name"] in large
    ):
        yield node["Relation Name"]
    for each in node.get("Plans", []):
        yield from _of_node(each, large, first_rows=first_rows or kind == "Limit")
