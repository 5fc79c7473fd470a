"""Fences of code, one within another, and formulas over several lines."""

from __future__ import annotations

import re

MARKER = r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|$))*"  # what may stand before a line's own text
_RUN = re.compile(r"(?P<lead>[ \t]*)(?P<run>`{3,}|~{3,})[ \t]*(?P<info>.*)$")
_RUN_IN_BLOCK = re.compile(rf"(?P<lead>{MARKER})(?P<run>`{{3,}}|~{{3,}})[ \t]*(?P<info>.*)$")
_FORMULA = re.compile(rf"({MARKER})(\$\$|\\\[)")
_MARKERS = re.compile(MARKER)
_MARKDOWN = {"markdown", "md", "mdx"}


class Fence:
    """An open fence. In one that says it holds Markdown, inner fences with a language are closed before it is."""

    def __init__(self, run: str, info: str, indent: int = 0) -> None:
        self.run, self.indent = run, indent
        words = info.split(maxsplit=1)
        self.language = words[0] if words else ""
        self.widest = 0  # of the fences within
        self._within = 0
        self._nests = self.language.lower() in _MARKDOWN

    @classmethod
    def opened(cls, line: str) -> Fence | None:
        """Return the fence that `line` opens at the margin, if any."""
        match = _RUN.match(line)
        return cls._of(match) if match and len(match["lead"]) < 4 and "\t" not in match["lead"] else None

    @classmethod
    def _of(cls, match: re.Match[str]) -> Fence | None:
        if match["run"][0] == "`" and "`" in match["info"]:
            return None
        return cls(match["run"], match["info"], len(match["lead"]))

    def ends_at(self, line: str, *, anywhere: bool = False) -> bool:
        """Whether `line`, the next within it, closes it; `anywhere`: however far it is indented."""
        match = (_RUN_IN_BLOCK if anywhere else _RUN).match(line)
        if match is None or not match["run"].startswith(self.run):
            return False
        if match["info"].strip():
            if self._nests and self._of(match) is not None:
                self._within += 1
                self.widest = max(self.widest, len(match["run"]))
            return False
        if not anywhere and (len(match["lead"]) > 3 or "\t" in match["lead"]) and not self._within:
            return False
        if self._within:
            self._within -= 1
            return False
        return True


def below_markers(line: str) -> str:
    """Return `line` without what makes it an item or a quotation."""
    match = _MARKERS.match(line)
    return line[match.end() :] if match else line


def open_formula(line: str) -> str:
    """Return what ends the formula that `line` begins with, and does not end; else nothing."""
    match = _FORMULA.match(line) if "$$" in line or "\\[" in line else None
    if match is None:
        return ""
    close = "$$" if match[2] == "$$" else "\\]"
    return "" if close in line[match.end() :] else close


def mended(source: str) -> str:
    """Return `source` so that CommonMark reads it as it was meant.

    A fence that holds Markdown with fences is made longer than those; a formula over several lines becomes one line, which
    no `-` or `+` at the beginning of one can take for a list.
    """
    formulas = "$$" in source or "\\[" in source
    if not formulas and "md" not in source and "markdown" not in source:
        return source
    lines = source.split("\n")
    fence: Fence | None = None
    opened = at = hopeless = 0
    while at < len(lines):
        line = lines[at]
        if fence is not None:
            if fence.ends_at(line, anywhere=True):
                _lengthen(lines, (opened, at), fence)
                fence = None
        elif (match := _RUN_IN_BLOCK.match(line)) is not None:
            fence, opened = Fence._of(match), at
        elif formulas and at >= hopeless and (close := open_formula(line)):
            hopeless = _join(lines, at, close)
        at += 1
    return "\n".join(lines)


def _lengthen(lines: list[str], at: tuple[int, int], fence: Fence) -> None:
    if fence.widest >= len(fence.run):
        more = fence.run[0] * (fence.widest + 1 - len(fence.run))
        for number in at:
            lines[number] = lines[number].replace(fence.run, fence.run + more, 1)


def _join(lines: list[str], at: int, close: str) -> int:
    """Make one line of the formula that begins at line `at`; return the line before which no other can end."""
    quoted = " \t>" if lines[at].lstrip().startswith(">") else " \t"
    for end in range(at + 1, len(lines)):
        line = lines[end].lstrip(quoted)
        if not line:
            return end
        if close in line:
            parts = [lines[at], *(each.lstrip(quoted) for each in lines[at + 1 : end + 1])]
            lines[at : end + 1] = [" ".join(part.rstrip() for part in parts)]
            return at
    return len(lines)
