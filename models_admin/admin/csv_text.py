"""Lines of CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")
# A formula begins with = + - or @, also in full width. Blanks, line feeds and invisible characters may stand before it: some
# spreadsheets drop those. A tab or a carriage return at the beginning is always dangerous.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*[=+\-@＝＋－＠]"
)


def lines(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV; a text that could be a formula gets an apostrophe in front, which spreadsheets do not show."""
    text = io.StringIO()
    csv.writer(text).writerows(map(_without_formula, row) for row in rows)
    return text.getvalue()


def _without_formula(value: T) -> T | str:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
