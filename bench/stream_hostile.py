"""One reply that is made to hold up the others, and how late their tokens come meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bench.stream_cases import Case, Run, Sides, judged, marked, percentile, sandbox_session
from bench.stream_client import Taken, open_pages, read_directly
from bench.stream_people import Visitor, fresh_pages
from bench.stream_system import KEY, System

OTHERS, RATE, SECONDS = 20, 50.0, 6.0
CASE = Case(OTHERS, int(RATE * SECONDS), RATE, stamped=True)
AGAIN = 0.2  # seconds between two of the hostile reply

INPUTS = {
    "plain words": "and so on " * 4_000,
    "a lexer that backtracks: make, `a(`": "```make\n" + "a(" * 3_950 + "\n```\n",
    "another: pike, line feeds": "```pike\n" + "\n" * 7_900 + "\n```\n",
    "a table of 64 KB": "| a | b |\n|---|---|\n" + "| one | two |\n" * 4_500,
    "a table of 600 columns, short rows": "|" + "a|" * 600 + "\n|" + "-|" * 600 + "\n" + "x\n" * 8_000,
    "empty lines in a list": "- a\n" + "\n" * 60_000,
    "a list of 64 KB": "- an item\n" * 6_300,
    "`![` 20,000 times": "![" * 20_000,
    "`[` 40,000 times": "[" * 40_000,
    "`>` 40,000 times": ">" * 40_000,
    "`- ` 20,000 times": "- " * 20_000,
    "formulas, 40 KB": "$\\frac{a}{b}+c_1$ " * 2_200,
    "a paragraph of 64 KB": "some *words* and `code` " * 2_600,
}


async def beside(system: System, text: str, addresses: list[tuple[str, str]]) -> Run:
    """Stream paced words to all pages but the last, which is sent `text` as fast as it comes, again and again."""
    mark = marked()
    system.sandbox.forget()
    *pages, last = await open_pages(f"127.0.0.1:{system.port}", addresses)
    await asyncio.sleep(0.3)
    for number, page in enumerate(pages):
        page.say(CASE.text(f"{mark}number {number}."))

    async def hostile() -> None:
        last.say(f"[[echo rate=0]]{text}")
        await last.answered
        last.answered = asyncio.get_running_loop().create_future()
        last.begin()

    try:
        taken = await _meanwhile(hostile, asyncio.gather(*(page.answered for page in pages)))
    finally:
        for page in (*pages, last):
            page.close()
    system.check()
    return judged(system, CASE, mark, taken)


async def directly(system: System, text: str) -> Run:
    """The same straight from the sandbox: what the sandbox and this client make late themselves."""
    mark = marked()
    system.sandbox.forget()
    async with sandbox_session() as session:

        def read(message: str) -> Awaitable[Taken]:
            return read_directly(session, system.sandbox.url, KEY, message)

        others = asyncio.gather(*(read(CASE.text(f"{mark}number {number}.")) for number in range(OTHERS)))
        taken = await _meanwhile(lambda: read(f"[[echo rate=0]]{text}"), others)
    return judged(system, CASE, mark, taken)


async def _meanwhile(hostile: Callable[[], Awaitable[object]], others: Awaitable[list[Taken]]) -> list[Taken]:
    """Wait for the others, while `hostile` is done again and again. Its errors are raised: beside nothing hostile no
    figure means anything.
    """

    async def again() -> None:
        await asyncio.sleep(1.0)  # the others have begun
        while True:
            await hostile()
            await asyncio.sleep(AGAIN)

    task = asyncio.create_task(again())
    try:
        taken = await others
        if task.done():
            task.result()
        return taken
    finally:
        task.cancel()


def row(system: System, name: str, people: list[Visitor], rounds: int, run: Any) -> list[str]:
    """Measure one input; return the row of the table."""
    text, sides = INPUTS[name], Sides()
    for _ in range(rounds):
        sides.direct.append(run(directly(system, text)))
        sides.through.append(run(beside(system, text, fresh_pages(people, OTHERS + 1))))

    def figure(side: str, share: float) -> str:
        return f"{1000 * sides.of(side, lambda run: percentile(run.delays, share)):.1f}"

    ends = [f"{figure('direct', share)} → {figure('through', share)}" for share in (0.5, 0.99)]
    return [name, *ends, figure("through", 1.0)]
