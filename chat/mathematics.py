"""TeX into MathML, bounded: what is too long, or not to be understood, stays as it was written."""

from __future__ import annotations

import functools
import re

from latex2mathml.converter import convert

LONGEST = 600  # characters of a formula; a long one takes some 10 µs for each

# The converter knows these alignments by the names that stand outside of a formula.
_INNER = re.compile(
    r"\\(begin|end)\{(?:aligned|alignedat|gathered|gather\*?|align|equation\*?|multline\*?)\}"
)
_COLUMNS = re.compile(r"(\\begin\{alignedat\})\{\d+\}")

# What convert() makes. None of it can run, load or link.
_MADE = """
math mrow mi mn mo mtext mspace ms msub msup msubsup mfrac msqrt mroot mover munder munderover mtable mtr mtd mstyle
menclose mpadded mphantom mmultiscripts mprescripts none
"""
_WITH = """
accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height linebreak
linethickness lspace mathsize mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace scriptlevel
separator stretchy symmetric voffset width
"""
TAGS, ATTRIBUTES = frozenset(_MADE.split()), frozenset(_WITH.split())


@functools.lru_cache(maxsize=1024)
def mathml(source: str, *, display: bool) -> str | None:
    """Return the formula `source` (TeX, without its dollars or brackets) as a <math> element, or None."""
    if len(source) > LONGEST:
        return None
    try:
        source = _INNER.sub(r"\\\1{align*}", _COLUMNS.sub(r"\1", source))
        return convert(source, display="block" if display else "inline")
    except Exception:  # noqa: BLE001 (the converter raises what it happens to meet in text that is no TeX)
        return None
