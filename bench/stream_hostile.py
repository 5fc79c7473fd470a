"""One reply that is made to hold up the others, and how late their tokens come meanwhile."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Any

from bench.stream_cases import Case, Run, judged, marked, percentile
from bench.stream_client import Page, open_pages
from bench.stream_people import Visitor, fresh_pages
from bench.stream_system import System

OTHERS, RATE, SECONDS = 20, 50.0, 6.0
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
    case = Case(len(pages), int(RATE * SECONDS), RATE)
    for number, page in enumerate(pages):
        page.say(case.text(f"{mark}number {number}."))
    hostile = asyncio.create_task(_again(last, text))
    try:
        taken = await asyncio.gather(*(page.answered for page in pages))
        if hostile.done():
            hostile.result()  # which says why it ended: beside nothing hostile no figure means anything
    finally:
        hostile.cancel()
        for page in (*pages, last):
            page.close()
    system.check()
    return judged(system, case, mark, list(taken))


async def _again(page: Page, text: str) -> None:
    await asyncio.sleep(1.0)  # the others have begun
    while True:
        page.say(f"[[echo rate=0]]{text}")
        await page.answered
        page.answered = asyncio.get_running_loop().create_future()
        page.begin()
        await asyncio.sleep(AGAIN)


def row(system: System, name: str, people: list[Visitor], rounds: int, run: Any) -> list[str]:
    """Measure one input; return the row of the table."""
    runs = []
    for _ in range(rounds):
        addresses = fresh_pages(people, OTHERS + 1)
        runs.append(run(beside(system, INPUTS[name], addresses)))
    figures = [1000 * median(percentile(each.delays, share) for each in runs) for share in (0.5, 0.99, 1.0)]
    return [name, *(f"{figure:.1f}" for figure in figures)]
