"""Finds where a block of Markdown ends, looking once at each line.

A blank line ends a block, except for three kinds: a fence ends at its closing line, a list at a line after a blank one that
is not indented to its text, indented code at an unindented line. A paragraph also ends where CommonMark ends it: at a
heading, a fence, an item or a quotation below it.
"""

from __future__ import annotations

import re
from enum import Enum

from chat.fences import Fence, below_markers, open_formula

# A line's end and a table's cell take as long to render as so many characters.
LINE_WEIGHT, CELL_WEIGHT = 2, 4
COLUMNS_MAX = 100  # of a table; a wider one is shown as it was written
# A block may weigh so many times its characters, and so much more. A heavier one is a table whose short rows lack cells.
SPARSE = 8, 1_000
UNREACHABLE = 1_000  # an indentation that no line has
NO_FENCE = Fence("", "")

_ITEM = re.compile(r"(?P<marker>[-+*]|(?P<number>\d{1,9})[.)])(?P<space>[ \t]+|$)(?P<rest>.*)")
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_RULE = re.compile(r"(?:\*[ \t]*){3,}$|(?:-[ \t]*){3,}$|(?:_[ \t]*){3,}$")
_UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$")
# An item at the margin whose words are no heading, rule, fence, quotation or item themselves.
_PLAIN_ITEM = re.compile(r"(?:[-+*]|\d{1,9}[.)]) {1,4}(?=[^\s#`~>+*_\d-]|\*\*\w|`\w)")


class Kind(Enum):
    """What a block is, as far as it decides which line may end it."""

    TEXT = "a blank line ends it"
    QUOTE = "a blank line ends it, or one that cannot go on with its words"
    FENCE = "its closing line ends it"
    LIST = "a line after a blank one that is not indented to it ends it"
    CODE = "a line that is not indented ends it"


class Outline:
    """An open block: its lines, its kind and its weight."""

    __slots__ = (
        *("_blank", "_formula", "_indent", "_inner", "_lazy", "_pipes", "_size", "_wide"),
        *("fence", "kind", "lines", "weight"),
    )

    def __init__(self, head: list[str] | None = None) -> None:
        self.kind = Kind.TEXT
        self.lines: list[str] = head or []
        self.weight = 0  # about its characters, and the cells of its tables
        self._size = 0  # characters
        self._pipes = 0  # the most of any line: a table's rows are filled up to the width of its head
        self._wide = False
        for line in self.lines:
            self._weigh(line)
        self.fence = NO_FENCE
        self._formula = ""  # what ends the open formula: until then nothing is an item
        self._indent = 0  # of the open item's text
        self._inner: Fence | None = None  # that is open in a list or quotation
        self._lazy = False  # whether the last line's words may go on in a line that is not marked or indented
        self._blank = False  # whether the last line was blank

    def take(self, lines: list[str], at: int, end: int, longest: int) -> int:
        """Take lines[at:end], for as long as each of them plainly continues the block, up to the weight `longest`.

        Return the number of the first line that is not taken: ends_before(), is_long() and add() decide about it.
        """
        if not self.lines:
            while at < end and not lines[at]:
                at += 1
        start = at
        if self.kind is Kind.FENCE:
            while at < end and self.weight <= longest and self.fence.run not in lines[at]:
                at += 1
        if self.kind is Kind.LIST or not self.lines:
            while at < end and self._takes_item(lines[at], longest):
                at += 1
        if self.kind is Kind.TEXT and not self._formula:
            while at < end and self.weight <= longest:
                line = lines[at]
                if not (line[:1].isalpha() or line[:1] == "|") or len(line) > longest:
                    break
                self._weigh(line)
                at += 1
        if at > start:
            self.lines += lines[start:at]
        return at

    def _takes_item(self, line: str, longest: int) -> bool:
        item = _PLAIN_ITEM.match(line)
        if item is None or self.weight > longest or len(line) > longest:
            return False
        self._weigh(line)
        self.kind, self._indent, self._inner = Kind.LIST, item.end(), None
        self._lazy, self._blank = True, False
        return True

    def is_long(self, longest: int, line: str) -> bool:
        """Whether the block has to end before `line`; a list, if it can, before an item of its own."""
        if self.weight <= longest:
            return False
        words = line.lstrip(" \t")
        item = self.kind is Kind.LIST and _ITEM.match(words) and _indent(line, words) < self._indent
        return self.kind is not Kind.LIST or bool(item) or self.weight > 2 * longest

    @property
    def is_plain(self) -> bool:
        """Whether the block is to be shown as it was written: a table in it has far more cells than characters."""
        times, more = SPARSE
        return self._wide or self.weight > times * self._size + more

    def head(self) -> list[str]:
        """Return the lines that a table's next part must begin with; [] where the block is no table."""
        return self.lines[:2] if self._is_table() and not self.is_plain else []

    def _weigh(self, line: str) -> None:
        if "|" in line:
            pipes = line.count("|")
            self._pipes = max(self._pipes, pipes)
            self._wide = self._wide or (pipes > COLUMNS_MAX and not below_markers(line).strip("|-: \t"))
        self._size += len(line) + 1
        self.weight += len(line) + LINE_WEIGHT + CELL_WEIGHT * self._pipes

    def _is_table(self) -> bool:
        if len(self.lines) < 2 or "-" not in self.lines[1] or self.lines[1].strip("|-: \t"):
            return False
        first, second = (len(line.strip().strip("|").split("|")) for line in self.lines[:2])
        return first == second and "|" in self.lines[0] + self.lines[1]

    def ends_before(self, line: str) -> bool:
        """Whether `line` begins another block."""
        words = line.lstrip(" \t")
        if not self.lines or not words or self.kind is Kind.FENCE:
            return False
        indent = _indent(line, words)
        if self.kind is Kind.CODE:
            return indent < 4
        if self.kind is Kind.LIST:
            return indent < self._indent and self._ends_list(line, words, indent)
        if indent > 3:
            return self.kind is Kind.QUOTE and not self._lazy
        return self._ends_text(line, words)

    def _ends_list(self, line: str, words: str, indent: int) -> bool:
        if indent > 3:
            return self._blank
        if _RULE.match(words) or _begins_block(line, words) or words[0] == ">":
            return True
        return (self._blank or not self._lazy) and not _ITEM.match(words)

    def _ends_text(self, line: str, words: str) -> bool:
        quoted = self.kind is Kind.QUOTE
        if _begins_block(line, words):
            return True
        if self._formula:
            return False
        if words[0] == ">" or (quoted and not self._lazy):
            return not quoted or words[0] != ">"
        if words[0].isalpha():
            return False
        rule = _RULE.match(words) is not None
        item = None if rule else _ITEM.match(words)
        if item is not None:  # not every number with a point begins a list in a text
            alone = item["rest"] != "" and item["number"] in (None, "1")
            return alone or quoted or self._is_table()
        # `---` makes a heading of the text above it
        return rule and (words[0] != "-" or quoted or self._is_table())

    def add(self, line: str) -> bool:
        """Take the next line; return whether it ends the block."""
        words = line.lstrip(" \t")
        if self.kind is Kind.FENCE:
            self.lines.append(line)
            return self.fence.ends_at(line)
        if not words:
            return self._add_blank(line)
        self.lines.append(line)
        self._weigh(line)
        indent, first = _indent(line, words), len(self.lines) == 1
        if first:
            self._begin(line, words, indent)
        if self.kind is Kind.LIST:
            self._note_item(words, indent, first=first)
        if self.kind is Kind.QUOTE and words[0] == ">":
            self._note_end(line)
        if self._formula:
            self._formula = "" if self._formula in line and not first else self._formula
        elif self.kind is Kind.TEXT and not first and words[0] in "$\\":
            self._formula = open_formula(line)
        self._blank = False
        return self.kind is Kind.TEXT and indent < 4 and not words[0].isalpha() and self._is_by_itself(words)

    def _is_by_itself(self, words: str) -> bool:
        """Whether the last line is a heading or a rule, or makes a heading of what stands above it."""
        if len(self.lines) > 1 and _UNDERLINE.match(words):
            return not self._is_table()
        return _HEADING.match(words) is not None or _RULE.match(words) is not None

    def _add_blank(self, line: str) -> bool:
        if self.kind in (Kind.TEXT, Kind.QUOTE):
            return True
        if not self._blank and not below_markers(self.lines[-1]):
            self._indent = UNREACHABLE  # an item may begin with one blank line, not with two
        self.lines.append(line)
        self.weight += len(line) + LINE_WEIGHT
        self._size += len(line) + 1
        self._blank = True
        return False

    def _begin(self, line: str, words: str, indent: int) -> None:
        """Set the kind of the block by its first line."""
        fence = Fence.opened(line) if words[0] in "`~" else None
        if indent > 3:
            self.kind = Kind.CODE
        elif fence is not None:
            self.kind, self.fence = Kind.FENCE, fence
        elif words[0] == ">":
            self.kind = Kind.QUOTE
        elif words[0].isalpha():
            pass
        elif words[0] != "#" and _ITEM.match(words) and not _RULE.match(words):
            self.kind = Kind.LIST
        else:
            self._formula = open_formula(line)

    def _note_item(self, words: str, indent: int, *, first: bool) -> None:
        """Note where an item's text begins, if this line begins an item."""
        item = _ITEM.match(words) if indent < 4 and (first or indent < self._indent) else None
        if item is not None:
            space = len(item["space"].expandtabs(4))
            self._indent = indent + len(item["marker"]) + (space if item["rest"] and 0 < space < 5 else 1)
            self._inner = None
        if item is not None or indent >= self._indent or self._inner is not None:
            self._note_end(words)

    def _note_end(self, line: str) -> None:
        """Note what this last line of a list or quotation leaves open."""
        if self._inner is not None:
            if self._inner.ends_at(line, anywhere=True):
                self._inner = None
            return
        words = below_markers(line)
        self._inner = Fence.opened(words)
        self._lazy = (
            self._inner is None and words != "" and not _HEADING.match(words) and not _RULE.match(words)
        )


def _indent(line: str, words: str) -> int:
    space = line[: len(line) - len(words)]
    return len(space.expandtabs(4)) if "\t" in space else len(space)


def _begins_block(line: str, words: str) -> bool:
    if words[0] == "#":
        return _HEADING.match(words) is not None
    return words[0] in "`~" and Fence.opened(line) is not None
