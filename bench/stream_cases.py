"""The same streams read directly, through a bare relay, and through Gantry: one run of each, and what came of it."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import aiohttp

from bench.stream_client import Taken, open_pages, read_directly
from bench.stream_people import Visitor, fresh_pages
from bench.stream_processes import Process
from bench.stream_system import KEY, System

SIZE = 6  # characters of a token
_runs = itertools.count(1)

PARAGRAPH = """\
## A heading with `code`

Some **bold** and *slanted* words, a [link](https://example.org/), and a sentence that is as long as sentences are.

- one item
- another one with `code`
- a third

```python
def greet(name: str) -> str:
    return f"Hello {name}"
```

| a | b |
|---|---|
| 1 | 2 |

Plain words make up most of what is written, and they go on for a while before anything else comes along.

"""


@dataclass(frozen=True)
class Case:
    """`streams` replies of `tokens` tokens, at `rate` a second (0: as fast as can be), begun within `spread` seconds."""

    streams: int
    tokens: int
    rate: float = 0.0
    spread: float = 0.0
    markdown: bool = False
    stamped: bool = (
        False  # tokens tell when they were sent: delays are counted from there, not by the schedule
    )
    warms: bool = False  # is run for what it leaves behind, not for its figures

    def text(self, mark: str) -> str:
        """The message that makes the sandbox send it."""
        if self.markdown:  # some four characters a token
            times = max(1, self.tokens * 3 // len(PARAGRAPH))
            return f"[[echo rate={self.rate:g} repeat={times}]]{mark}\n\n{PARAGRAPH}"
        shape = "stamp" if self.stamped else f"size={SIZE}"
        return f"[[tokens={self.tokens} rate={self.rate:g} {shape}]] {mark}"


@dataclass
class Run:
    """What one run came to. Seconds, but for what says otherwise."""

    tokens_per_second: float
    cpu_per_1000: float = 0.0
    achieved: float = 0.0  # share of the offered rate, mean of the streams
    first: list[float] = field(default_factory=list)  # from asking to the first token
    begun: list[float] = field(default_factory=list)  # of it, until TabbyAPI sent that
    delays: list[float] = field(
        default_factory=list
    )  # of each token, against the sandbox's schedule or its stamp


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0–1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def marked() -> str:
    """What tells the messages of one run from those of all others."""
    return f"run {next(_runs)} "


def sandbox_session() -> aiohttp.ClientSession:
    """The session of readers of the sandbox itself."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=2**16)


async def directly(system: System, case: Case) -> Run:
    """Read all streams of `case` from the sandbox itself."""
    mark = marked()
    system.sandbox.forget()
    async with sandbox_session() as session:

        async def one(number: int) -> Taken:
            await asyncio.sleep(number * case.spread / case.streams)
            text = case.text(f"{mark}number {number}.")
            return await read_directly(session, system.sandbox.url, KEY, text)

        taken = await asyncio.gather(*(one(number) for number in range(case.streams)))
    return judged(system, case, mark, list(taken))


async def through(
    system: System, case: Case, addresses: list[tuple[str, str]], process: Process, port: int
) -> Run:
    """Read all streams of `case` as pages of `process` do, which serves on `port`.

    `addresses` are as fresh_pages() gives them.
    """
    mark = marked()
    system.sandbox.forget()
    pages = await open_pages(f"127.0.0.1:{port}", addresses)
    await asyncio.sleep(0.3)  # what the opening left to do
    before = process.cpu()

    async def one(number: int) -> Taken:
        await asyncio.sleep(number * case.spread / case.streams)
        pages[number].say(case.text(f"{mark}number {number}."))
        return await pages[number].answered

    try:
        with system.profiled() if process is system.web and not case.warms else nullcontext():
            taken = await asyncio.gather(*(one(number) for number in range(case.streams)))
    finally:
        for page in pages:
            page.close()
    spent = process.cpu() - before
    system.check()
    run = judged(system, case, mark, list(taken))
    run.cpu_per_1000 = spent / tokens_of(system, mark) * 1000
    return run


def _records(system: System, mark: str) -> list[dict[str, Any]]:
    """The sandbox's records of a run's chats, in the order of their numbers."""
    pattern = re.compile(re.escape(mark) + r"number (\d+)\.")
    found = {}
    for record in system.sandbox.log("/v1/chat/completions"):
        if match := pattern.search(record["body"]["messages"][-1]["content"]):
            found[int(match[1])] = record
    return [found[number] for number in sorted(found)]


def tokens_of(system: System, mark: str) -> int:
    """How many tokens the sandbox sent in a run."""
    return sum(record["tokens"] or 0 for record in _records(system, mark))


def judged(system: System, case: Case, mark: str, taken: list[Taken]) -> Run:
    """What the streams of a run came to, by the sandbox's record and what was taken."""
    records = _records(system, mark)
    if len(records) != case.streams:
        raise RuntimeError(f"{len(records)} of {case.streams} streams are in the sandbox's record")
    total = sum(record["tokens"] for record in records)
    seconds = max(each.last for each in taken) - min(each.asked for each in taken)
    run = Run(total / seconds, first=[each.first - each.asked for each in taken])
    run.begun = [record["first_token_at"] - each.asked for record, each in zip(records, taken, strict=True)]
    if case.rate and not case.markdown:  # of which no word has a number
        shares = []
        for record, each in zip(records, taken, strict=True):
            start, number = record["first_token_at"], 0
            for at, count in each.arrivals:
                if not case.stamped:
                    run.delays += [at - start - (number + k) / case.rate for k in range(count)]
                number += count
            run.delays += each.late
            if number != case.tokens:
                raise RuntimeError(f"{number} of {case.tokens} tokens came")
            shares.append(case.tokens / case.rate / (each.last - start + 1 / case.rate))
        run.achieved = mean(shares)
    return run


@dataclass
class Sides:
    """Rounds of all, in turn."""

    direct: list[Run] = field(default_factory=list)
    bare: list[Run] = field(default_factory=list)
    through: list[Run] = field(default_factory=list)

    def of(self, which: str, figure: Any) -> float:
        """The median over the rounds of one side's figure."""
        return float(median(figure(run) for run in getattr(self, which)))

    def ratio(self, figure: Any, to: str) -> float:
        """Through / another side, by the medians."""
        return self.of("through", figure) / self.of(to, figure)


def measure(system: System, case: Case, people: list[Visitor], rounds: int, run: Any) -> Sides:
    """Run `case` in all three ways in turn (A B C, C B A, …), `run` being an asyncio.Runner's."""
    sides = Sides()
    for number in range(rounds):
        for side in ("direct", "bare", "through")[:: 1 if number % 2 == 0 else -1]:
            addresses = fresh_pages(people, case.streams)
            time.sleep(0.5)
            if side == "direct":
                sides.direct.append(run(directly(system, case)))
            elif side == "bare":
                bare = system.start_bare()
                sides.bare.append(run(through(system, case, addresses, bare, system.bare_port)))
            else:
                sides.through.append(run(through(system, case, addresses, system.web, system.port)))
    return sides
