"""Thinking that a model writes into its answer, `<think>…</think>`, taken out of it while it arrives.

TabbyAPI separates thinking only where it is set up for the model; what it leaves in the text is no answer: it is neither
part of the next prompt nor of what is copied. The tags may be cut anywhere, and the first may be missing, because some
prompt templates write it themselves: then all that came before the second was thinking. An opening tag counts at the
beginning of the text or of a line; one that the model never closed was prose, and is put back in the end. In code (a
fence, an indented line, backticks up to the end of their line) tags are text. Each character is looked at once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPENING, CLOSING = "<think>", "</think>"
_TAG = re.compile(r"</?think>")
_BLANKS = re.compile(r"\s*")
_RUNS = re.compile(r"`+|[^`]+")
_FENCE = re.compile(r"^[ \t]*(?:[-*+>][ \t]*)*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)


class Taken(NamedTuple):
    """What a piece of text comes to.

    `moved`: the text before it was thinking, too, and `reasoning` follows on it. `back`: so many characters at the end
    of the reasoning before were text, and `text` has them.
    """

    text: str
    reasoning: str
    moved: bool = False
    back: int = 0


class _Code:
    """Whether the text read so far ends within code."""

    def __init__(self) -> None:
        self._fence = ""  # the open one
        self._line: list[str] = []  # the last line, in pieces
        self._indent = self._run = self._ticks = (
            0  # of that line: backticks at its end, backticks that are open
        )
        self.at_margin = True  # only blanks stand in that line

    def read(self, text: str) -> None:
        """Read what comes next."""
        begins = text.rfind("\n") + 1  # the last line
        if begins:
            self._line.append(text[:begins])
            for fence in _FENCE.finditer("".join(self._line)):
                self._meet(fence)
            self._line, self._indent, self._run, self._ticks, self.at_margin = [], 0, 0, 0, True
        rest = text[begins:]
        if not rest:
            return
        self._line.append(rest)
        if self.at_margin:
            words = rest.lstrip(" \t")
            self._indent += len(rest[: len(rest) - len(words)].expandtabs(4))
            self.at_margin = not words
        for run in _RUNS.findall(rest):
            if run[0] == "`":
                self._run += len(run)
            else:
                self._end_run()

    def is_open(self) -> bool:
        """Whether a tag that comes now stands in code."""
        self._end_run()
        return bool(self._fence or self._ticks or self._indent > 3)

    def _end_run(self) -> None:
        if self._run:
            self._ticks = 0 if self._ticks == self._run else (self._ticks or self._run)
            self._run = 0

    def _meet(self, fence: re.Match[str]) -> None:
        """A line that may open a fence, or close the one that is open."""
        marks, words = fence[1], fence[2]
        if not self._fence:
            self._fence = "" if marks[0] == "`" and "`" in words else marks
        elif marks.startswith(self._fence) and fence[0].strip() == marks:
            self._fence = ""


class Thinking:
    """Parts one reply's text from its thinking. `thought`: whether there was any before."""

    def __init__(self, text: str = "", *, thought: bool = False) -> None:
        self._thought = thought  # a closing tag that nothing opened is then text
        self._inside = False
        self._held: list[str] = []  # may be the beginning of a tag, or blanks before the text
        self._undecided = False  # whether some of that is no blank
        self._began = bool(text)  # whether the text has begun
        self._code = _Code()
        self._code.read(text)
        self._opened: list[str] = []  # what came since the open tag, and the tag
        self._given = 0  # characters of it that were given as reasoning
        self._first = False  # whether the open tag began the text
        self._named = False  # whether an opening tag stands among words: so does what closes it
        self._trims = False  # blanks that follow on thinking go

    def take(self, piece: str) -> Taken:
        """Take the next piece of the reply's text."""
        if not (self._began or self._inside or self._undecided or piece.strip()):
            self._held.append(piece)
            return Taken("", "")
        return self._part("".join((*self._held, piece)), last=False)

    def end(self, *, cut: bool = False) -> Taken:
        """The text has ended: what was held back is what it looks like, and what was never closed is text.

        `cut`: the model did not end it. Then what it began with is thinking all the same.
        """
        taken = self._part("".join(self._held), last=True)
        if not self._inside or (cut and self._first):
            return taken
        back, self._inside = self._given - len(taken.reasoning), False
        return Taken(taken.text + "".join(self._opened), "", taken.moved, back)

    def reasoned(self) -> None:
        """There was thinking that TabbyAPI has separated."""
        self._thought = True
        self._opened, self._given = [], 0

    def _part(self, text: str, *, last: bool) -> Taken:
        self._held, self._undecided = [], False
        out: list[str] = []
        thoughts: list[str] = []
        moved = False
        at = 0
        while True:
            if self._trims:
                start, at = at, _BLANKS.match(text, at).end()  # type: ignore[union-attr]
                self._trims = at == len(text)
                if self._inside:
                    self._opened.append(text[start:at])
            match = _TAG.search(text, at)
            end = match.start() if match else len(text) - (0 if last else _held_back(text, at, self._waits()))
            self._add(text[at:end], out, thoughts, last=last)
            at = match.end() if match else end
            if match is None:
                break
            if self._inside:
                self._trims = match[0] == CLOSING
                if self._trims:
                    self._inside = False
                else:
                    self._add(match[0], out, thoughts)
            elif self._is_text(match[0]):
                self._add(match[0], out, thoughts)
            elif match[0] == OPENING:
                self._inside = self._thought = self._trims = True
                self._opened, self._given, self._first = [OPENING], 0, not self._began
            else:
                thoughts, out, moved = ["".join(out)], [], True
                self._thought = self._trims = True
                self._code, self._began = _Code(), False
        if at < len(text):
            self._held, self._undecided = [text[at:]], not text[at:].isspace()
        return Taken("".join(out), "".join(thoughts), moved)

    def _is_text(self, tag: str) -> bool:
        """Whether a tag that comes now is text."""
        if tag == CLOSING and self._thought:
            return True
        if self._code.is_open():
            return True
        paired, self._named = self._named, tag == OPENING and not self._code.at_margin
        return paired if tag == CLOSING else self._named

    def _waits(self) -> bool:
        """Whether blanks that come now wait for what follows."""
        return not (self._began or self._inside)

    def _add(self, text: str, out: list[str], thoughts: list[str], *, last: bool = False) -> None:
        if not text or not (self._began or self._inside or last or text.strip()):
            return  # blanks before the thinking are no text
        if self._inside:
            thoughts.append(text)
            self._opened.append(text)
            self._given += len(text)
        else:
            self._began = True
            out.append(text)
            self._code.read(text)


def _held_back(text: str, at: int, waits: bool) -> int:
    """How many characters at the end may belong to a tag, or are blanks in front of the whole text, which wait."""
    if waits and not text[at:].strip():
        return len(text) - at
    begin = text.rfind("<", max(at, len(text) - len(CLOSING) + 1))
    if begin < 0 or not (OPENING.startswith(text[begin:]) or CLOSING.startswith(text[begin:])):
        return 0
    return len(text) - at if waits and not text[at:begin].strip() else len(text) - begin
