"""Cells of a CSV that no spreadsheet takes for formulas: what stands in them was written by people and by TabbyAPI."""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")

# A formula begins with one of these, also in full width. Blanks, line feeds and what is not seen may stand before it: some
# spreadsheets drop those. A tab or a return at the beginning is never harmless.
_FORMULA = re.compile(
    r"[\t\r\n]|[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*[=+\-@＝＋－＠]"
)


def disarmed(value: T) -> T | str:
    """Return `value`, a text that could be a formula with an apostrophe before it, which spreadsheets do not show."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
