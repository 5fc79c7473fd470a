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
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Block:
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
        self._whole: deque[str] = deque()  # lines to be looked at
        self._tail: list[str] = []  # the line that has not ended yet, in pieces
        self._tail_size = 0
        self._ended = False
        self._seen = 0  # characters that were looked at
        self._outline = Outline()  # of the block that is not finished
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
        if "\n" in piece:
            self._tail.append(piece)
            *lines, piece = "".join(self._tail).split("\n")
            self._whole.extend(lines)
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
        lines = 0
        while True:
            if self._whole:
                yield from self._take(self._whole.popleft(), 1)
                lines += 1
                if lines % PAUSE_EVERY == 0:
                    yield False
            elif self._tail_size > BLOCK_MAX and self._outline.kind is not Kind.FENCE:
                tail = "".join(self._tail)
                rest = yield from self._cut(tail)
                self._tail, self._tail_size = [rest], len(rest)
            elif self._ended:
                break
            else:
                yield True
        if rest := "".join(self._tail):
            yield from self._take(rest, 0)
        yield from self._finish(self._seen)
        if self.upto < self._seen:
            self.upto = self._seen
            self._out.append(Block(self._seen, ""))
        yield from self._look_forward()

    def _cut(self, line: str) -> Generator[bool, None, str]:
        """Make blocks of a line's beginnings while it is longer than a block may be; return what is left."""
        at = 0
        if len(line) > BLOCK_MAX:
            yield from self._finish(self._seen)
        while len(line) - at > BLOCK_MAX:
            end = line.rfind(" ", at, at + BLOCK_MAX) + 1 or at + BLOCK_MAX
            self._outline = Outline([line[at:end]])
            at, self._seen = end, self._seen + end - at
            yield from self._finish(self._seen)
        return line[at:]

    def _take(self, line: str, newline: int) -> Iterator[bool]:
        """Take one line, given without its line feed (`newline` 1) or as the text's last (0)."""
        if self._outline.kind is not Kind.FENCE and len(line) > BLOCK_MAX:
            line = yield from self._cut(line)
        before = self._seen
        self._seen += len(line) + newline
        if "\r" in line:
            line = line.rstrip("\r").replace("\r", " ")
        if "\0" in line:
            line = line.replace("\0", "\ufffd")
        if self._outline.ends_before(line):
            yield from self._finish(before)
        elif self._outline.is_long(BLOCK_MAX, line):
            head = self._outline.head()
            yield from self._finish(before)
            self._outline = Outline(head)
        if self._outline.add(line):
            yield from self._finish(self._seen)

    def _finish(self, upto: int) -> Iterator[bool]:
        """Render the open block, which ends with character `upto`, and begin another."""
        block, self._outline = self._outline, Outline()
        if not block.lines:
            return
        if block.kind is Kind.FENCE:
            html = yield from self._fenced(block)
        elif block.is_plain:
            html = markdown.plain("\n".join(block.lines))
        else:
            html = yield from self._rendered(block.lines)
        self.upto = upto
        self._html.append(html)
        self._out.append(Block(upto, html))
        yield False

    def _fenced(self, block: Outline) -> Generator[bool, None, str]:
        fence, lines = block.fence, block.lines[1:]
        if lines and fence.ends_at(lines[-1]):
            del lines[-1]
        if fence.indent:
            lines = [line[min(fence.indent, len(line) - len(line.lstrip(" "))) :] for line in lines]
        if fence.language.lower() == "math":
            return (yield from self._drawn(f"$${' '.join(lines)}$$", ()))
        return markdown.code("".join(f"{line}\n" for line in lines), fence.language)

    def _rendered(self, lines: list[str]) -> Generator[bool, None, str]:
        source = "\n".join(lines)
        for line in lines:
            definition = _DEFINITION.match(line)
            if definition is None:
                break
            self._references.setdefault(_label(definition[1]), line.strip())
        if "[" not in source:
            return (yield from self._drawn(source, ()))
        labels = {_label(each) for each in _LABEL.findall(source)}
        known = labels & self._references.keys()
        mathematical = self._math < MATH_MAX
        if labels != known:
            self._forward.append((len(self._html), source, labels - known, mathematical))
        return (yield from self._drawn(source, known))

    def _drawn(self, source: str, labels: set[str] | tuple[()]) -> Generator[bool, None, str]:
        mathematical = self._math < MATH_MAX
        if "$" in source or "\\" in source:
            self._math += len(source)
        steps = markdown.steps(
            source, [self._references[label] for label in labels], mathematical=mathematical
        )
        return self._bounded(source, (yield from _each(steps)))

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
                steps = markdown.steps(source, definitions, mathematical=mathematical)
                self._html[index] = self._bounded(source, (yield from _each(steps)))
                yield False
        self._forward = []


def render(text: str) -> str:
    """Render a whole text: what `Blocks` gives for it, however it is cut."""
    blocks = Blocks()
    blocks.feed(text)
    blocks.close()
    return blocks.html


def _each(steps: Generator[None, None, str]) -> Generator[bool, None, str]:
    """Take `steps` one by one; return what they come to."""
    try:
        while True:
            next(steps)
            yield False
    except StopIteration as done:
        return str(done.value)


def _label(words: str) -> str:
    return " ".join(words.split()).casefold()
