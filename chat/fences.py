"""Reads fenced code, also fences within fences, and formulas over several lines, before CommonMark does."""

from __future__ import annotations

import re

MARKER = r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|$))*"  # what may stand before a line's own text
_RUN = re.compile(r"(?P<lead>[ \t]*)(?P<run>`{3,}|~{3,})[ \t]*(?P<info>.*)$")
_RUN_IN_BLOCK = re.compile(rf"(?P<lead>{MARKER})(?P<run>`{{3,}}|~{{3,}})[ \t]*(?P<info>.*)$")
_FORMULA = re.compile(rf"({MARKER})(\$\$|\\\[)")
_MARKERS = re.compile(MARKER)
_MARKDOWN = {"markdown", "md", "mdx"}


class Fence:
    """An open fence. Where its language is Markdown, inner fences with a language must close before it can."""

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
        """Take `line`, the next within the fence; return whether it closes it. `anywhere`: however far it is indented."""
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
    """Return `line` without the markers of items and quotations in front."""
    match = _MARKERS.match(line)
    return line[match.end() :] if match else line


def open_formula(line: str) -> str:
    """Return the mark that ends the formula which `line` begins with and does not end; else ''."""
    match = _FORMULA.match(line) if "$$" in line or "\\[" in line else None
    if match is None:
        return ""
    close = "$$" if match[2] == "$$" else "\\]"
    return "" if close in line[match.end() :] else close


def normalized(source: str) -> str:
    """Return `source` so that CommonMark reads its fences and formulas as they were meant.

    A fence that holds Markdown with fences is made longer than those. A formula over several lines becomes one line, so
    that a `-` or `+` at the beginning of a line makes no list of it.
    """
    formulas = "$$" in source or "\\[" in source
    if not formulas and "md" not in source and "markdown" not in source:
        return source
    lines = source.split("\n")
    fence: Fence | None = None
    opened = at = no_end_before = 0
    while at < len(lines):
        line = lines[at]
        if fence is not None:
            if fence.ends_at(line, anywhere=True):
                _lengthen(lines, (opened, at), fence)
                fence = None
        elif (match := _RUN_IN_BLOCK.match(line)) is not None:
            fence, opened = Fence._of(match), at
        elif formulas and at >= no_end_before and (close := open_formula(line)):
            no_end_before = _join(lines, at, close)
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
