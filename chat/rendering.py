"""Markdown into sanitized HTML, block by block, while the text is still arriving.

`Blocks` takes a text in pieces, cut anywhere, and gives each block once, as soon as it is sure to be finished
(`chat/outline.py` decides that). Each line is looked at once, and a block is parsed once, when it is finished. So how the
pieces were cut changes nothing, and the cost grows with the text, not with its square.

A block that grows beyond BLOCK_MAX is finished where it is, and what follows is another of its kind: no single step
takes long, and `work` can be told for how long it may go on. Only a reference that is defined further down looks
forward: at the end the blocks that use it are rendered again.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

from chat import markdown
from chat.outline import Kind, Outline

BLOCK_MAX = 8_000  # characters, as Outline.weight counts them: some 10 ms at the very worst
MATH_MAX = 40_000  # characters of blocks with formulas in a text: MathML is 25 times as long
HTML_TIMES, HTML_MORE = (
    20,
    100_000,
)  # a block's HTML has so many times its characters, all blocks so many more
PAUSE_EVERY = 64  # lines

_DEFINITION = re.compile(
    r" {0,3}\[([^\[\]\\]{1,200})\]:[ \t]*([^\s<]\S{0,2000})"
    r"(?:[ \t]+(?:\"[^\"\\]{0,500}\"|'[^'\\]{0,500}'|\([^()\\]{0,500}\)))?[ \t]*$"
)
_FORMULA = re.compile(r"<math.*?</math>", re.DOTALL)
_LABEL = re.compile(r"\[([^\[\]]{1,200})\]")


class Block(NamedTuple):
    """A finished block: `html` stands for the text from the last block to character `upto`."""

    upto: int
    html: str


class Blocks:
    """The rendering of one growing text: `html` is what is finished, of the first `upto` characters.

    `behind`: work() was not given the time to do all that could be done.
    """

    def __init__(self) -> None:
        self.upto = 0
        self.behind = False
        self._html: list[str] = []
        self._out: list[Block] = []
        self._lines: list[str] = []  # whole ones; those from number `_at` on have to be looked at
        self._at = 0
        self._raw = False  # whether there are characters among them that come to be others
        self._tail: list[str] = []  # the line that has not ended yet, in pieces
        self._tail_size = 0
        self._ended = False
        self._seen = 0  # characters that were looked at
        self._outline = Outline()  # of the block that has not ended
        self._ready: deque[tuple[Outline, int]] = deque()  # blocks to be rendered, and where each ends
        self._references: dict[str, str] = {}  # label: the line that defines it
        self._forward: list[tuple[int, str, set[str], bool]] = []  # blocks that a later definition may change
        self._math = 0
        self._spare = HTML_MORE
        self._steps = self._run()

    @property
    def html(self) -> str:
        return "".join(self._html)

    def feed(self, piece: str) -> list[Block]:
        """Take the next piece of the text; return the blocks that it finishes."""
        self.accept(piece)
        return self.work()

    def close(self) -> list[Block]:
        """The text has ended: return the remaining blocks. `html` is final, forward references included."""
        self.end()
        return self.work()

    def accept(self, piece: str) -> None:
        """Take the next piece of the text, for work() to do."""
        self._raw = self._raw or "\r" in piece or "\0" in piece
        if "\n" in piece:
            self._tail.append(piece)
            *lines, piece = "".join(self._tail).split("\n")
            self._lines += lines
            self._tail, self._tail_size = [], 0
        self._tail.append(piece)
        self._tail_size += len(piece)

    def end(self) -> None:
        """The text has ended: work() may finish what is open."""
        self._ended = True

    def work(self, seconds: float = float("inf")) -> list[Block]:
        """Render what can be rendered, for so long; return the blocks that were finished."""
        due = time.perf_counter() + seconds
        self.behind = False
        for idle in self._steps:
            if idle:
                break
            if time.perf_counter() > due:
                self.behind = True
                break
        blocks, self._out = self._out, []
        return blocks

    def _run(self) -> Iterator[bool]:
        """Do the work, step by step; each step yields whether there is nothing more to do for now."""
        while True:
            if self._ready:
                yield from self._finish()
            elif self._at < len(self._lines):
                self._look_at_lines()
                if not self._ready:
                    yield False
            elif self._tail_size > BLOCK_MAX and self._outline.kind is not Kind.FENCE:
                rest = self._cut("".join(self._tail))
                self._tail, self._tail_size = [rest], len(rest)
            elif self._ended:
                break
            else:
                yield True
        if rest := "".join(self._tail):
            self._look_at(rest, 0)
        self._end(self._seen)
        yield from self._finish()
        if self.upto < self._seen:
            self.upto = self._seen
            self._out.append(Block(self._seen, ""))
        yield from self._look_forward()

    def _look_at_lines(self) -> None:
        """Look at the next lines, until a block ends or others may have their turn."""
        lines, at = self._lines, self._at
        end = min(len(lines), at + PAUSE_EVERY)
        while at < end and not self._ready:
            start = at
            if not self._raw:
                at = self._outline.take(lines, at, end, BLOCK_MAX)
                self._seen += sum(map(len, lines[start:at])) + at - start
            if at < end:
                self._look_at(lines[at], 1)
                at += 1
        self._at = at
        if at == len(lines):
            self._lines, self._at = [], 0

    def _look_at(self, line: str, newline: int) -> None:
        """Take one line, given without its line feed (`newline` 1) or as the text's last (0)."""
        outline, before = self._outline, self._seen
        if not line and outline.kind is Kind.TEXT and outline.weight <= BLOCK_MAX:  # most blocks end so
            self._seen += newline
            self._end(self._seen)
            return
        if outline.kind is not Kind.FENCE and len(line) > BLOCK_MAX:
            line = self._cut(line)
            outline, before = self._outline, self._seen
        self._seen += len(line) + newline
        if "\r" in line:
            line = line.rstrip("\r").replace("\r", " ")
        if "\0" in line:
            line = line.replace("\0", "\ufffd")
        if outline.ends_before(line):
            self._end(before)
        elif outline.is_long(BLOCK_MAX, line):
            self._end(before, outline.head())
        if self._outline.add(line):
            self._end(self._seen)

    def _cut(self, line: str) -> str:
        """Make blocks of a line's beginnings while it is longer than a block may be; return what is left."""
        at = 0
        if len(line) > BLOCK_MAX:
            self._end(self._seen)
        while len(line) - at > BLOCK_MAX:
            end = line.rfind(" ", at, at + BLOCK_MAX) + 1 or at + BLOCK_MAX
            self._outline = Outline([line[at:end]])
            at, self._seen = end, self._seen + end - at
            self._end(self._seen)
        return line[at:]

    def _end(self, upto: int, head: list[str] | None = None) -> None:
        """End the open block with character `upto`, and begin another, with the lines `head`."""
        if self._outline.lines:
            self._ready.append((self._outline, upto))
            self._outline = Outline(head)

    def _finish(self) -> Iterator[bool]:
        """Render the blocks that have ended."""
        while self._ready:
            block, upto = self._ready.popleft()
            html = yield from self._rendered(block)
            self.upto = upto
            self._html.append(html)
            self._out.append(Block(upto, html))
            yield False

    def _rendered(self, block: Outline) -> Generator[bool, None, str]:
        if block.kind is Kind.FENCE:
            return (yield from self._fenced(block))
        source = "\n".join(block.lines)
        if block.is_plain:
            return markdown.plain(source)
        if "[" not in source:
            return (yield from self._drawn(source, ()))
        for line in block.lines:
            definition = _DEFINITION.match(line)
            if definition is None:
                break
            self._references.setdefault(_label(definition[1]), line.strip())
        labels = {_label(each) for each in _LABEL.findall(source)}
        known = labels & self._references.keys()
        mathematical = self._math < MATH_MAX
        if labels != known:
            self._forward.append((len(self._html), source, labels - known, mathematical))
        return (yield from self._drawn(source, known))

    def _fenced(self, block: Outline) -> Generator[bool, None, str]:
        fence, lines = block.fence, block.lines[1:]
        if lines and fence.ends_at(lines[-1]):
            del lines[-1]
        if fence.indent:
            lines = [line[min(fence.indent, len(line) - len(line.lstrip(" "))) :] for line in lines]
        if fence.language.lower() == "math":
            return (yield from self._drawn(f"$${' '.join(lines)}$$", ()))
        return markdown.code("\n".join([*lines, ""]), fence.language)

    def _drawn(self, source: str, labels: set[str] | tuple[()]) -> Generator[bool, None, str]:
        mathematical = self._math < MATH_MAX
        if "$" in source or "\\" in source:
            self._math += len(source)
        definitions = [self._references[label] for label in labels]
        html = yield from markdown.steps(source, definitions, mathematical=mathematical)
        return self._bounded(source, html)

    def _bounded(self, source: str, html: str) -> str:
        """`html`, unless there is too much of it for `source`; formulas have a bound of their own."""
        over = len(html) - HTML_TIMES * len(source)
        if over > 0 and "<math" in html:
            over = len(_FORMULA.sub("", html)) - HTML_TIMES * len(source)
        if over > self._spare:
            return markdown.plain(source)
        self._spare -= max(0, over)
        return html

    def _look_forward(self) -> Iterator[bool]:
        """Render the blocks again whose references were defined further down."""
        for index, source, missing, mathematical in self._forward:
            if missing & self._references.keys():
                known = {_label(each) for each in _LABEL.findall(source)} & self._references.keys()
                definitions = [self._references[label] for label in known]
                html = yield from markdown.steps(source, definitions, mathematical=mathematical)
                self._html[index] = self._bounded(source, html)
                yield False
        self._forward = []


def render(text: str) -> str:
    """Render a whole text: what `Blocks` gives for it, however it is cut."""
    blocks = Blocks()
    blocks.feed(text)
    blocks.close()
    return blocks.html


def _label(words: str) -> str:
    return " ".join(words.split()).casefold()
