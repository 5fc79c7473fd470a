"""The same replies through one web process and through two: what it costs that people sit in different ones.

Where there are four cores, each of the processes has one to itself; else they share one, and their delays mean little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.stream_cases import Case, Run, judged, marked, percentile, tokens_of
from bench.stream_client import Page, Taken, open_pages
from bench.stream_people import Visitor, fresh_pages
from bench.stream_system import System

HEADS = ["web processes", "CPU s per 1,000 tokens, of all", "delay p50, p99 ms"]


@dataclass(frozen=True)
class Seats:
    """`of(n)`: to which process each page of the n-th conversation is connected; the first page asks, a second looks on."""

    name: str
    of: Callable[[int], tuple[int, ...]]
    beside: int | None = None  # the row that it is compared with


SEATS = (
    Seats("one", lambda n: (0,)),
    Seats("two, with half of the people each", lambda n: (n % 2,), beside=0),
    Seats("two pages for each person, both in one process", lambda n: (n % 2, n % 2)),
    Seats("two pages for each person, one in each process", lambda n: (n % 2, 1 - n % 2), beside=2),
)


def rows(system: System, case: Case, people: list[Visitor], run: Any) -> list[list[str]]:
    """Measure each way to sit, with the paced replies of `case`; return the rows below HEADS."""
    for _ in range(2):  # what a first reply loads, in each process
        _measured(system, Case(4, 50, warms=True), people, SEATS[1], run)
    spent: list[float] = []
    table = []
    for seats in SEATS:
        found = _measured(system, case, people, seats, run)
        spent.append(found.cpu_per_1000)
        ratio = ""
        if seats.beside is not None:
            ratio = f", {spent[-1] / spent[seats.beside]:.2f} × that of “{SEATS[seats.beside].name}”"
        delays = (f"{1000 * percentile(found.delays, share):.1f}" for share in (0.5, 0.99))
        table.append([f"{seats.name}: {case.streams} replies", f"{spent[-1]:.4f}{ratio}", ", ".join(delays)])
    return table


def _measured(system: System, case: Case, people: list[Visitor], seats: Seats, run: Any) -> Run:
    mark, addresses = marked(), fresh_pages(people, case.streams)
    system.sandbox.forget()
    before = [process.cpu() for process, _ in system.webs]
    taken, after = run(_through(system, case, addresses, seats, mark))
    system.check()
    found = judged(system, case, mark, taken)
    found.cpu_per_1000 = (sum(after) - sum(before)) / tokens_of(system, mark) * 1000
    return found


async def _through(
    system: System, case: Case, addresses: list[tuple[str, str]], seats: Seats, mark: str
) -> tuple[list[Taken], list[float]]:
    """Return the replies, and the CPU seconds that each web process has spent by then."""
    pages: dict[int, Page] = {}
    lookers: list[Page] = []
    for index, (_, port) in enumerate(system.webs):
        asking = [n for n in range(case.streams) if seats.of(n)[0] == index]
        looking = [n for n in range(case.streams) if seats.of(n)[1:] == (index,)]
        opened = await open_pages(f"127.0.0.1:{port}", [addresses[n] for n in [*asking, *looking]])
        pages.update(zip(asking, opened, strict=False))
        lookers += opened[len(asking) :]
    await asyncio.sleep(0.3)  # what the opening left to do

    async def one(number: int) -> Taken:
        await asyncio.sleep(number * case.spread / case.streams)
        pages[number].say(case.text(f"{mark}number {number}."))
        return await pages[number].answered

    try:
        taken = await asyncio.gather(*(one(number) for number in range(case.streams)))
        return list(taken), [process.cpu() for process, _ in system.webs]
    finally:
        for page in [*pages.values(), *lookers]:
            page.close()
