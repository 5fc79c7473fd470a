"""Markdown into sanitized HTML, block by block, while the text is still arriving.

`Blocks` takes a text in pieces, cut anywhere, and gives each top-level block once, as soon as it is sure to
be finished. Only whole lines are looked at, and what is parsed starts behind the last finished block; so how
the pieces were cut changes nothing, and the cost grows with the text, not with its square.

When is a block finished? CommonMark never reopens a block, so whatever stands before the last one is. The
last one is finished by a blank line, except for the three kinds that live through blank lines: a fence ends
at its closing line, a list at a line after a blank one that neither is indented nor starts an item, indented
code at a line that is not indented. Only a reference that is defined further down looks forward: `close`
renders the blocks that use it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from markdown_it.token import Token

from chat import markdown


@dataclass(frozen=True, slots=True)
class Block:
    """A finished top-level block: `html` stands for the text from the last block to character `upto`."""

    upto: int
    html: str


class _Open(Enum):
    """What the last, unfinished block is, as far as it decides which line may finish it."""

    TEXT = "a blank line ends it"
    FENCE = "its closing line ends it"
    LIST = "a line after a blank one that is not indented ends it"
    CODE = "a line that is not indented ends it"


# Block tokens that may go on after a blank line; and all that may go on, blank line or not.
_LISTS = {"bullet_list_open": _Open.LIST, "ordered_list_open": _Open.LIST}
_SURVIVE_BLANK = {**_LISTS, "code_block": _Open.CODE}
_ANY = {
    **dict.fromkeys(("paragraph_open", "heading_open", "blockquote_open", "table_open"), _Open.TEXT),
    **_SURVIVE_BLANK,
}

_FENCE_LINE = re.compile(r" {0,3}(?:`{3,}[^`\n]*|~{3,}.*)$")
_CLOSING_LINE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_AT_MARGIN = re.compile(r" ?[^ \t\n]")
_ITEM = re.compile(r" ?(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
# A letter, and then nothing that means anything to Markdown or HTML: most prose, and not worth a parser.
_PLAIN = re.compile(r"[A-Za-z][^`*_~\[\]\\&<>\xa0|]*")
_INDENTED = re.compile(r" {0,3}\t| {4}")

References = dict[str, dict[str, Any]]


class Blocks:
    """The rendering of one growing text: `html` is what is finished, of the first `upto` characters."""

    def __init__(self) -> None:
        self.upto = 0
        self._html: list[str] = []
        self._out: list[Block] = []
        self._tail: list[str] = []  # the line that has not ended yet, in pieces
        self._lines: list[str] = []  # whole lines of blocks that are not finished
        self._ends: list[int] = []  # where each of them ends in the text
        self._seen = 0
        self._open = _Open.TEXT
        self._fence = ""
        self._blank = False  # whether the last line was blank
        self._references: References = {}
        self._forward: list[tuple[int, str, int]] = []  # blocks that a later definition may change

    @property
    def html(self) -> str:
        return "".join(self._html)

    def feed(self, piece: str) -> list[Block]:
        """Take the next piece of the text; return the blocks that it finishes."""
        if "\n" not in piece:
            self._tail.append(piece)
            return []
        self._tail.append(piece)
        *lines, rest = "".join(self._tail).split("\n")
        self._tail = [rest]
        for line in lines:
            self._take(line, 1)
        return self._taken()

    def close(self) -> list[Block]:
        """The text has ended: return the remaining blocks. `html` is final, forward references included."""
        if rest := "".join(self._tail):
            self._take(rest, 0)
            self._tail = []
        if self._lines:
            self._settle({}, closed=True)
        for index, source, known in self._forward:
            if len(self._references) > known:
                self._html[index] = markdown.render(source, dict(self._references))
        self._forward = []
        return self._taken()

    def _taken(self) -> list[Block]:
        blocks, self._out = self._out, []
        return blocks

    def _take(self, line: str, newline: int) -> None:
        """Take one line, given without its line feed (`newline` 1) or as the text's last (0)."""
        self._seen += len(line) + newline
        if "\r" in line:
            line = line.rstrip("\r").replace("\r", " ")
        if "\0" in line:
            line = line.replace("\0", "\ufffd")
        blank = not line.strip(" \t")
        if not blank and self._ends_open_block(line):
            self._settle({})
        self._lines.append(line)
        self._ends.append(self._seen)
        if self._open is _Open.FENCE:
            if len(self._lines) > 1 and _closes(line, self._fence):
                self._finish(*self._parse(), len(self._lines))
                self._open = _Open.TEXT
        elif self._open is _Open.TEXT:
            if blank:
                self._end_text()
            elif _FENCE_LINE.match(line):
                self._settle(_ANY)
        self._blank = blank

    def _end_text(self) -> None:
        """A blank line has ended what is pending, but for a list, indented code or a fence."""
        if len(self._lines) == 2 and _PLAIN.fullmatch(self._lines[0]):
            self._add(f"<p>{self._lines[0].rstrip()}</p>\n", 2)
            self._drop(2)
        elif len(self._lines) > 1:
            self._settle(_SURVIVE_BLANK)

    def _ends_open_block(self, line: str) -> bool:
        """Whether this line, which is not blank, ends the open list or the open indented code."""
        if self._open is _Open.LIST:
            if not _AT_MARGIN.match(line):
                return False
            return (self._blank and not _ITEM.match(line)) or _FENCE_LINE.match(line) is not None
        return self._open is _Open.CODE and not _INDENTED.match(line)

    def _settle(self, survives: dict[str, _Open], *, closed: bool = False) -> None:
        """Finish what is pending, but for a last block of a kind that `survives` or a fence that is open."""
        tokens, references = self._parse()
        start = _last_block(tokens)
        last = tokens[start] if tokens else None
        self._open = _Open.TEXT
        if last is not None and not closed:
            if last.type == "fence" and not self._fence_closed(last):
                self._open, self._fence = _Open.FENCE, last.markup
            elif last.type in survives:
                self._open = survives[last.type]
            else:
                last = None
        if last is None or closed:
            self._finish(tokens, references, len(self._lines))
        elif last.map:
            self._finish(tokens[:start], references, last.map[0])

    def _fence_closed(self, token: Token) -> bool:
        first, end = token.map or (0, 0)
        return end - 1 > first and _closes(self._lines[end - 1], token.markup)

    def _parse(self) -> tuple[list[Token], References]:
        return markdown.parse_blocks("\n".join(self._lines) + "\n")

    def _finish(self, tokens: list[Token], references: References, lines: int) -> None:
        """Render these tokens, the blocks of the first so many pending lines, and drop those lines."""
        if not lines:
            return
        for label, reference in references.items():
            if reference["map"][1] <= lines:
                self._references.setdefault(label, reference)
        groups = markdown.top_level(tokens)
        starts = [group[0].map[0] if group[0].map else 0 for group in groups[1:]]
        for group, start, end in zip(groups, [0, *starts], [*starts, lines], strict=False):
            source = "\n".join(self._lines[start:end])
            if "]" in source:
                self._forward.append((len(self._html), source, len(self._references)))
            self._add(markdown.render_tokens(group, self._references), end)
        if not groups:
            self._add("", lines)
        self._drop(lines)

    def _add(self, html: str, end: int) -> None:
        """Emit a block that ends with the `end`-th pending line."""
        self.upto = self._ends[end - 1]
        self._html.append(html)
        self._out.append(Block(self.upto, html))

    def _drop(self, lines: int) -> None:
        del self._lines[:lines]
        del self._ends[:lines]


def render(text: str) -> str:
    """Render a whole text: what `Blocks` gives for it, however it is cut."""
    blocks = Blocks()
    blocks.feed(text)
    blocks.close()
    return blocks.html


def _closes(line: str, opening: str) -> bool:
    match = _CLOSING_LINE.match(line)
    return match is not None and match[1].startswith(opening)


def _last_block(tokens: list[Token]) -> int:
    """The index of the token that opens the last top-level block; 0 when there is none."""
    for index in range(len(tokens) - 1, -1, -1):
        if tokens[index].level == 0 and tokens[index].nesting >= 0:
            return index
    return 0
