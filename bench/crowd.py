"""People who ask all the time, each again as soon as he has his reply, and what they had in a stretch of that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.stream_client import Page, Taken, open_pages

RATE = 20.0  # tokens a second of each reply
PATIENCE = 300.0


@dataclass(frozen=True)
class Stretch:
    """A part of the time in which a crowd asked, in time.time()."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass
class Crowd:
    """The people of some pages, each with a reply of `seconds` at a time, and all replies that they had."""

    pages: list[Page]
    seconds: float
    taken: list[Taken] = field(default_factory=list)
    enough: bool = False

    def waits(self, stretch: Stretch) -> list[float]:
        """Seconds to the first token of each message that was sent in this stretch."""
        return [each.first - each.asked for each in self.taken if stretch.begin <= each.asked < stretch.end]

    def share(self, stretch: Stretch) -> float:
        """The tokens that came in this stretch, of those that would have if everybody always had his full rate."""
        came = sum(
            count for each in self.taken for at, count in each.arrivals if stretch.begin <= at < stretch.end
        )
        return came / (stretch.seconds * RATE * len(self.pages))

    async def ask(self, number: int) -> None:
        """Be one of them, until it is enough."""
        page, text = self.pages[number], f"[[tokens={int(RATE * self.seconds)} rate={RATE:g} size=6]] go on"
        await asyncio.sleep(number * self.seconds / len(self.pages))
        while not self.enough:
            page.answered = asyncio.get_running_loop().create_future()
            page.begin()
            page.say(text)
            self.taken.append(await asyncio.wait_for(page.answered, PATIENCE))


@asynccontextmanager
async def asking(ports: list[int], addresses: list[tuple[str, str]], seconds: float) -> AsyncIterator[Crowd]:
    """A crowd on these web processes in turn, in full swing; at the end of the block all have their last reply."""
    pages: list[Page] = []
    for index, port in enumerate(ports):
        pages += await open_pages(f"127.0.0.1:{port}", addresses[index :: len(ports)])
    crowd = Crowd(pages, seconds)
    people = [asyncio.ensure_future(crowd.ask(number)) for number in range(len(pages))]
    try:
        await asyncio.sleep(2 * seconds)
        yield crowd
        crowd.enough = True
        await asyncio.gather(*people)
    finally:
        for each in people:
            each.cancel()
        for page in pages:
            page.close()


async def stretch(seconds: float) -> Stretch:
    """Let so much time pass."""
    begin = time.time()
    await asyncio.sleep(seconds)
    return Stretch(begin, time.time())
