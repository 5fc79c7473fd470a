"""`make bench-rollout`: a rolling switch of two servers under full load, and the same switch of one server.

    python -m bench.rollout [--quick] [--streams 100] [--rate 50] [--askers 10]

So many people read long replies, one after the other; a few more ask short questions all the time. Everything is measured
before the switch and while it runs: what counts is what the switch adds. What could not be measured is said, and the exit
status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.chaos_people import OPEN, Page
from bench.chaos_plan import Plan, plan
from bench.chaos_system import ADMIN_KEY, System
from bench.stream import say, table
from bench.stream_cases import percentile

MODEL = """
[[model]]
name = "{name}"
modules = 20
seconds_per_module = SECONDS
tokens_per_second = 50
max_seq_len = 65536
unload_seconds = 0.4
{more}
"""
OLD, NEW = "alpha-7B", "beta-8B-Q5"
LONG_SECONDS = 10  # of a long reply
SETTLING = 5.0  # seconds, until all read
# A reply in flight may end: that is what DRAIN_TIMEOUT is for.
SETTINGS = {"DRAIN_TIMEOUT": "60", "REFRESH_INTERVAL": "10", "REPLIES_AT_ONCE": "512"}


@dataclass
class Window:
    """What happened between two moments: waits for first tokens, the longest gaps of replies, tokens that came."""

    seconds: float
    waits: list[float]
    gaps: list[float]
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


@dataclass
class Notes:
    """What the pages of everybody have seen, with the time (time.monotonic()) of each."""

    waits: list[tuple[float, float]] = field(default_factory=list)  # (when it was asked, seconds)
    gaps: list[tuple[float, float]] = field(default_factory=list)  # (when it ended, seconds)
    tokens: list[tuple[float, int]] = field(default_factory=list)

    def window(self, begun: float, ended: float) -> Window:
        """What was asked, and what came, in that time."""
        waits = [wait for asked, wait in self.waits if begun <= asked < ended]
        gaps = [gap for at, gap in self.gaps if begun <= at and at - gap < ended]
        return Window(
            ended - begun, waits, gaps, sum(count for at, count in self.tokens if begun <= at < ended)
        )


class Reader(Page):
    """A page that notes when tokens come."""

    def __init__(self, notes: Notes, *about: Any) -> None:
        super().__init__(*about)
        self.notes = notes
        self.news = asyncio.Event()
        self._asked: dict[str, float] = {}
        self._last: dict[int, tuple[float, int]] = {}  # by reply: when something came, and the length then

    async def answered(self, words: int, rate: int) -> None:
        """Ask, and wait until the reply has ended."""
        asked = time.monotonic()
        client_id = await self.say(words, rate)
        self._asked[client_id] = asked
        while not self._ended(client_id):
            self.news.clear()
            await self.news.wait()

    def _ended(self, client_id: str) -> bool:
        mine = {pk for pk, each in self.messages.items() if each["client_id"] == client_id}
        return any(each["parent"] in mine and each["status"] not in OPEN for each in self.messages.values())

    def apply(self, event: dict[str, Any]) -> int | None:
        """Take an event, and note what it brings."""
        missing = super().apply(event)
        number = event["message"]["id"] if event["type"] == "message" else event.get("id")
        if event["type"] in ("message", "delta") and number in self.messages:
            self._note(number, self.messages[number])
        self.news.set()
        return missing

    def _note(self, number: int, message: dict[str, Any]) -> None:
        if message["role"] != "assistant" or not message["text"]:
            return
        now, length = time.monotonic(), len(message["text"])
        last = self._last.get(number)
        if last is None:
            parent = self.messages.get(message["parent"])
            if parent is not None and (asked := self._asked.get(parent["client_id"])) is not None:
                self.notes.waits.append((asked, now - asked))
        elif length > last[1]:
            self.notes.gaps.append((now, now - last[0]))
        if last is None or length > last[1]:
            came = message["text"][last[1] if last else 0 :].count(" ")
            self.notes.tokens.append((now, came))
            self._last[number] = now, length


class Case:
    """Everybody on one system, and its switch."""

    def __init__(
        self, system: System, session: aiohttp.ClientSession, cookies: dict[str, str], chosen: Any
    ) -> None:
        self.system, self.session, self.cookies, self.chosen = system, session, cookies, chosen
        self.notes = Notes()
        self.pages: list[Reader] = []

    async def run(self, drain: float) -> tuple[Window, Window, int]:
        """Return what was before the switch, what was while it ran, and how many replies it has cut."""
        await self._gather()
        work = [asyncio.create_task(self._read(page)) for page in self.pages[: self.chosen.streams]]
        work += [asyncio.create_task(self._ask(page)) for page in self.pages[self.chosen.streams :]]
        try:
            await asyncio.sleep(SETTLING)
            quiet_from = time.monotonic()
            await asyncio.sleep(self.chosen.seconds)
            begun = time.monotonic()
            cut = await self._switch(drain)
            ended = time.monotonic()
            await asyncio.sleep(2.0)  # until who asked last has been answered
            for task in work:
                if task.done():
                    task.result()
            return self.notes.window(quiet_from, begun), self.notes.window(begun, ended), cut
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await asyncio.gather(*(page.close() for page in self.pages))

    async def _gather(self) -> None:
        dice: Plan = plan(1, 1)
        for number, name in enumerate(each for each in self.cookies if each != "admin"):
            web = self.system.webs[number % len(self.system.webs)]
            async with self.session.post(
                f"{web}/api/conversations", json={}, headers={"Cookie": f"session_id={self.cookies[name]}"}
            ) as answer:
                conversation = str((await answer.json())["id"])
            page = Reader(
                self.notes, self.session, [web], self.cookies[name], conversation, dice.random(f"{name}")
            )
            self.pages.append(page)
            page.open()
        async with asyncio.timeout(60):
            while not all(page.connected for page in self.pages):
                await asyncio.sleep(0.05)

    async def _read(self, page: Reader) -> None:
        """Read long replies for ever; each begins at a time of its own."""
        await asyncio.sleep(page.dice.uniform(0, SETTLING - 1))
        while True:
            await page.answered(self.chosen.rate * LONG_SECONDS, self.chosen.rate)

    async def _ask(self, page: Reader) -> None:
        """Ask short questions for ever."""
        while True:
            await asyncio.sleep(page.dice.uniform(0.2, 1.0))
            await page.answered(5, 50)

    async def _switch(self, drain: float) -> int:
        """Have all servers changed; return how many replies that has cut."""
        web = self.system.webs[0]
        headers = {"Cookie": f"session_id={self.cookies['admin']}", "Prefer": "respond-async"}
        body = {"model_id": NEW, "drain_seconds": drain}
        async with self.session.post(f"{web}/api/admin/models/switch", json=body, headers=headers) as answer:
            answer.raise_for_status()
            place = answer.headers["Location"]
        while not (now := await self._get(web, place))["finished_at"]:
            await asyncio.sleep(0.1)
        if now["state"] != "succeeded":
            raise RuntimeError(f"the switch {now['state']}: {now['error']}")
        parts = [each["switch"] for each in now["servers"]] if "servers" in now else [now["id"]]
        return sum([(await self._get(web, f"/api/admin/switches/{pk}"))["replies_cut"] for pk in parts])

    async def _get(self, web: str, place: str) -> Any:
        headers = {"Cookie": f"session_id={self.cookies['admin']}"}
        async with self.session.get(f"{web}{place}", headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()


async def bare(system: System) -> float:
    """Return the seconds that an unload and a load take by bare calls, at a sandbox that nobody uses."""
    (name,) = system.tabbies
    await system.start_sandbox(name, empty=False)
    headers = {"x-admin-key": ADMIN_KEY, "Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(system.tabbies[name], headers=headers) as session:
        begun = time.monotonic()
        async with session.post("/v1/model/unload") as answer:
            answer.raise_for_status()
        async with session.post("/v1/model/load", json={"model_name": NEW}) as answer:
            answer.raise_for_status()
            await answer.read()
        return time.monotonic() - begun


async def measured(chosen: Any, folder: Path, servers: int) -> tuple[Window, Window, int]:
    """Return what run() does for so many servers. Of one, replies are cut: else people would wait for the drain, too."""
    model = MODEL.replace("SECONDS", f"{chosen.load / 20:g}")
    url = os.environ.get("DATABASE_URL", "")
    system = System(folder / f"servers-{servers}", url, servers, settings=SETTINGS, model=model)
    try:
        cookies = await system.start(chosen.streams + chosen.askers)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await Case(system, session, cookies, chosen).run(60.0 if servers > 1 else 0.0)
    finally:
        await system.stop()


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}"


def tell_rollout(before: Window, during: Window, cut: int) -> None:
    """Print what a rolling switch changes for people."""
    rows = [
        [
            "wait for the first token, p50, ms",
            *(ms(percentile(each.waits, 0.5)) for each in (before, during)),
            "",
        ],
        [
            "wait for the first token, p99, ms",
            *(ms(percentile(each.waits, 0.99)) for each in (before, during)),
            "+100 ms",
        ],
        ["messages", str(len(before.waits)), str(len(during.waits)), ""],
        [
            "longest gap in a stream, ms",
            *(ms(max(each.gaps, default=0)) for each in (before, during)),
            "1,000",
        ],
        ["replies cut", "", str(cut), "0"],
        ["tokens a second", f"{before.rate:,.0f}", f"{during.rate:,.0f}", ""],
        ["of before", "", f"{during.rate / before.rate:.3f}", "0.98"],
    ]
    table(
        ["two servers, one after the other", "before", f"in {during.seconds:.0f} s of the rollout", "goal"],
        rows,
    )


def tell_one(before: Window, during: Window, cut: int, seconds: float) -> None:
    """Print what the same switch of one server changes, beside the bare calls."""
    longest = max(during.waits, default=0)
    rows = [
        [
            "wait for the first token, p50, ms",
            *(ms(percentile(each.waits, 0.5)) for each in (before, during)),
            "",
        ],
        [
            "wait for the first token, p99, ms",
            *(ms(percentile(each.waits, 0.99)) for each in (before, during)),
            "",
        ],
        ["bare unload and load, ms", "", ms(seconds), ""],
        ["the longest wait, less that, ms", "", ms(longest - seconds), "500"],
        ["the longest gap in a stream, less that, ms", "", ms(max(during.gaps, default=0) - seconds), ""],
        ["replies cut, and gone on with", "", str(cut), ""],
    ]
    table(["one server", "before", f"in {during.seconds:.0f} s of the switch", "goal"], rows)


async def run(chosen: Any, folder: Path) -> int:
    """Measure both; return 1 where one could not be."""
    missing = 0
    try:
        tell_rollout(*await measured(chosen, folder, 2))
    except Exception as error:  # noqa: BLE001 (a machine may be too slow for one, and not for the other)
        say(f"\nNot measured, two servers: {type(error).__name__}: {error}")
        missing = 1
    try:
        model = MODEL.replace("SECONDS", f"{chosen.load / 20:g}")
        alone = System(folder / "bare", model=model)
        alone.folder.mkdir(parents=True)
        try:
            seconds = await bare(alone)
        finally:
            with suppress(Exception):
                await alone.stop()
        tell_one(*await measured(chosen, folder, 1), seconds)
    except Exception as error:  # noqa: BLE001 (the same)
        say(f"\nNot measured, one server: {type(error).__name__}: {error}")
        missing = 1
    return missing


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description="Measure a rolling switch.")
    parser.add_argument("--quick", action="store_true", help="20 streams, loads of 4 s: to see that it works")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--askers", type=int, default=10)
    parser.add_argument("--rate", type=int, default=50, help="tokens a second of a stream")
    chosen = parser.parse_args(argv)
    chosen.load, chosen.seconds = 20.0, 20.0
    if chosen.quick:
        chosen.streams, chosen.load, chosen.seconds = min(chosen.streams, 20), 4.0, 5.0
    folder = Path(tempfile.mkdtemp(prefix="gantry-rollout-"))
    say(
        f"{len(os.sched_getaffinity(0))} cores, {chosen.streams} streams of {chosen.rate} tokens a second, "
        f"{chosen.askers} people who ask, loads of {chosen.load:g} s"
    )
    missing = asyncio.run(run(chosen, folder))
    if missing:
        say(f"Logs: {folder}")
    else:
        shutil.rmtree(folder)
    return missing


if __name__ == "__main__":
    sys.exit(main())
