"""Thinking that a model writes into its answer, `<think>…</think>`, taken out of it while it arrives.

TabbyAPI separates thinking only where it is set up for the model; what it leaves in the text is no answer: it is neither
part of the next prompt nor of what is copied. The tags may be cut anywhere, and the first may be missing, because some
prompt templates write it themselves: then all that came before the second was thinking. In code (a fence, backticks) they
are text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPENING, CLOSING = "<think>", "</think>"
_TAG = re.compile(r"</?think>")
_CODE = re.compile(r"^[ \t]*(?:[-*+>][ \t]*)*(`{3,}|~{3,})[^\n]*|(`+)|\n[ \t]*\n", re.MULTILINE)


class Taken(NamedTuple):
    """What a piece of text comes to. `moved`: the text before it was thinking, too, and `reasoning` follows on it."""

    text: str
    reasoning: str
    moved: bool = False


class Thinking:
    """Parts one reply's text from its thinking. `thought`: whether there was any before."""

    def __init__(self, text: str = "", *, thought: bool = False) -> None:
        self._thought = thought  # a closing tag that nothing opened is then text
        self._inside = False
        self._held = ""  # may be the beginning of a tag, or blanks around one
        self._began = bool(text)  # whether the text has begun
        self._unread = [text] if text else []  # not looked at for code yet
        self._fence = self._ticks = ""  # the open fence; the backticks that are open
        self._trims = False  # blanks that follow on thinking go

    def take(self, piece: str) -> Taken:
        """Take the next piece of the reply's text."""
        if "<" not in piece and not self._held and not self._trims:
            if self._inside:
                return Taken("", piece)
            if self._began:
                self._unread.append(piece)
                return Taken(piece, "")
        return self._part(self._held + piece, last=False)

    def end(self) -> Taken:
        """The text has ended: what was held back is what it looks like."""
        return self._part(self._held, last=True)

    def reasoned(self) -> None:
        """There was thinking that TabbyAPI has separated."""
        self._thought = True

    def _part(self, text: str, *, last: bool) -> Taken:
        self._held = ""
        out: list[str] = []
        thoughts: list[str] = []
        moved = False
        at = 0
        while True:
            if self._trims:
                at = len(text) - len(text[at:].lstrip())
                self._trims = at == len(text)
            match = _TAG.search(text, at)
            end = match.start() if match else len(text) - (0 if last else _held_back(text, at, self._began))
            self._add(text[at:end], out, thoughts, last=last)
            at = match.end() if match else end
            if match is None:
                break
            if self._inside:
                self._inside = match[0] != CLOSING
                self._trims = not self._inside
                if self._inside:
                    thoughts.append(match[0])
            elif self._in_code() or (match[0] == CLOSING and self._thought):
                self._add(match[0], out, thoughts)
            elif match[0] == OPENING:
                self._inside = self._thought = self._trims = True
            else:
                thoughts, out, moved = ["".join(out)], [], True
                self._thought = self._trims = True
                self._unread, self._fence, self._ticks, self._began = [], "", "", False
        self._held = text[at:]
        return Taken("".join(out), "".join(thoughts), moved)

    def _add(self, text: str, out: list[str], thoughts: list[str], *, last: bool = False) -> None:
        if not text or not (self._began or self._inside or last or text.strip()):
            return  # blanks before the thinking are no text
        if self._inside:
            thoughts.append(text)
        else:
            self._began = True
            out.append(text)
            self._unread.append(text)

    def _in_code(self) -> bool:
        """Whether the text so far ends within code. Each part of it is looked at once."""
        text = "".join(self._unread)
        line = len(text[: text.rfind("\n") + 1].rstrip())
        # The last line may go on: what it opens is found again next time.
        self._fence, self._ticks = _open_code(text[:line], self._fence, self._ticks)
        self._unread = [text[line:]]
        fence, ticks = _open_code(text[line:], self._fence, self._ticks)
        return bool(fence or ticks)


def _held_back(text: str, at: int, began: bool) -> int:
    """How many characters at the end may belong to a tag; blanks in front of the whole text wait for what follows."""
    if not began and not text[at:].strip():
        return len(text) - at
    begin = text.rfind("<", max(at, len(text) - len(CLOSING) + 1))
    if begin < 0 or not (OPENING.startswith(text[begin:]) or CLOSING.startswith(text[begin:])):
        return 0
    return len(text) - at if not began and not text[at:begin].strip() else len(text) - begin


def _open_code(text: str, fence: str, ticks: str) -> tuple[str, str]:
    """The fence and the backticks that are open at the end of `text`, with these open at its beginning."""
    for match in _CODE.finditer(text):
        run, inline = match[1], match[2]
        if run:
            if not fence:
                fence, ticks = ("" if "`" in match[0].strip().strip("`") and run[0] == "`" else run), ""
            elif run.startswith(fence) and match[0].strip() == run:
                fence = ""
        elif not fence:
            ticks = "" if inline is None or inline == ticks else (ticks or inline)
    return fence, ticks
