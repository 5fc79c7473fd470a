"""Turns TeX into MathML, within bounds: what is too long or cannot be read stays as it was written."""

from __future__ import annotations

import functools
import re

from latex2mathml.converter import convert

LONGEST = 600  # characters of a formula; a long one takes some 10 µs for each
FARTHEST = 20.0  # em: no space, shift or size in a formula is larger
ALL_TOGETHER = 100.0  # em: nor are all of them

# TeX may ask for any length. These attributes move or stretch a formula, by these units (none: em).
_LENGTH = re.compile(
    r'\b(width|height|depth|voffset|[lr]space|(?:row|column)spacing|m(?:in|ax)size|mathsize)="([^"]*)"'
)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([a-z%]*)")
_EM = {"": 1, "em": 1, "ex": 0.5, "mu": 1 / 18, "px": 1 / 16, "pt": 1 / 12, "bp": 1 / 12, "sp": 1 / 786_432}
_EM |= {"in": 6, "cm": 2.4, "mm": 0.24, "pc": 1, "dd": 1 / 11, "cc": 1.1, "%": 0.01}

# The converter knows these environments only by the names that they have outside of a formula.
_INNER = re.compile(
    r"\\(begin|end)\{(?:aligned|alignedat|gathered|gather\*?|align|equation\*?|multline\*?)\}"
)
_COLUMNS = re.compile(r"(\\begin\{alignedat\})\{\d+\}")

# The tags and attributes that convert() makes. None of them can run, load or link anything.
_TAG_NAMES = """
math mrow mi mn mo mtext mspace ms msub msup msubsup mfrac msqrt mroot mover munder munderover mtable mtr mtd mstyle
menclose mpadded mphantom mmultiscripts mprescripts none
"""
_ATTRIBUTE_NAMES = """
accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height linebreak
linethickness lspace mathsize mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace scriptlevel
separator stretchy symmetric voffset width
"""
TAGS, ATTRIBUTES = frozenset(_TAG_NAMES.split()), frozenset(_ATTRIBUTE_NAMES.split())


@functools.lru_cache(maxsize=1024)
def mathml(source: str, *, display: bool) -> str | None:
    """Return the formula `source` (TeX, without its dollars or brackets) as a <math> element; None: it stays as it is."""
    if len(source) > LONGEST:
        return None
    try:
        source = _INNER.sub(r"\\\1{align*}", _COLUMNS.sub(r"\1", source))
        made = convert(source, display="block" if display else "inline")
        return None if _is_too_large(made) else made
    except Exception:  # noqa: BLE001 (the converter raises what it happens to meet in text that is no TeX)
        return None


def _is_too_large(made: str) -> bool:
    """Whether lengths in the MathML could cover what stands beside it. Raises for a unit that is not known."""
    total, grown = 0.0, 1.0
    for name, value in _LENGTH.findall(made):
        for word in value.split():
            if word.isalpha():  # has a name, and they are small
                continue
            number = _NUMBER.fullmatch(word)
            if number is None:
                return True
            length = abs(float(number[1])) * _EM[number[2]]
            if name == "mathsize":
                grown *= max(1.0, length)  # one within another multiplies
            total += length
            if length > FARTHEST or total > ALL_TOGETHER or grown > FARTHEST:
                return True
    return False
