"""`make bench-servers`: the same load for each server, with one server and with several, and three web processes.

    python -m bench.servers [--quick] [--servers 1,2,4,8] [--streams 8]

With each number of servers a Gantry of its own: first what it costs while nobody asks, then while each server always has so
many replies. All of it is on one machine: with more servers there is more to do, so that delays grow where the cores are
full (what the web processes used of theirs is shown); CPU per reply is what can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import uvloop

from bench.crowd import RATE, Crowd, Stretch, asking, stretch
from bench.stream import say, table
from bench.stream_cases import percentile
from bench.stream_people import fresh_pages, visitors
from bench.stream_processes import ROOT
from bench.stream_system import System, running

WEBS = 3
REPLY_SECONDS = 4.0
HEADS = ["servers × web processes", "replies a second", "first token ms p50", "p99", "web CPU, ms a reply"]
HEADS += [
    "Redis",
    "tokens, of all that are asked for",
    "replies at each server, fewest to most",
    "web CPU, of a core",
]
IDLE = ["nobody asks", "web processes, CPU ms a second", "workers", "Redis"]


@dataclass(frozen=True)
class Spent:
    """CPU seconds so far, by what used them."""

    webs: float
    workers: float
    redis: float

    @classmethod
    def of(cls, system: System) -> Spent:
        """What the processes of this system have used."""
        named = {each.name: each for each in system.processes}
        webs = sum(process.cpu() for process, _ in system.webs)
        return cls(webs, named["worker"].cpu(), named["redis"].cpu())

    def __sub__(self, before: Spent) -> Spent:
        return Spent(self.webs - before.webs, self.workers - before.workers, self.redis - before.redis)


def main() -> int:
    """Measure, and print the tables; 1 where some of it was not possible."""
    chosen = _arguments()
    counts = chosen.servers.split(",")
    if len(counts) > 1:
        own = [f"--streams={chosen.streams}", *(["--quick"] if chosen.quick else [])]
        ended = [
            subprocess.run(
                [sys.executable, "-m", "bench.servers", f"--servers={each}", *own], cwd=ROOT, check=False
            )
            for each in counts
        ]
        return max(each.returncode for each in ended)
    count = int(counts[0])
    try:
        with running(servers=count) as system, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            _measure(system, chosen, runner.run)
    except Exception as error:  # noqa: BLE001 (a machine may be too slow for it)
        say(f"\nNot measured, with {count} servers: {type(error).__name__}: {error}")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description="Measure several servers.")
    parser.add_argument("--quick", action="store_true", help="a few seconds of each: to see that it works")
    parser.add_argument("--servers", default="1,2,4,8", help="how many, with commas: %(default)s")
    parser.add_argument("--streams", type=int, default=8, help="replies at once for each server: %(default)s")
    return parser.parse_args()


def _measure(system: System, chosen: argparse.Namespace, run: Any) -> None:
    system.start_web()
    for _ in range(WEBS - 1):
        system.start_another_web()
    idle_for, busy_for = (3.0, 5.0) if chosen.quick else (8.0, 16.0)
    time.sleep(3)
    before = Spent.of(system)
    time.sleep(idle_for)
    idle = Spent.of(system) - before
    people = chosen.streams * system.servers
    addresses = fresh_pages(visitors(people), people)
    crowd, while_they_asked, spent = run(_crowded(system, addresses, busy_for))
    each = [len(sandbox.log("/v1/chat/completions")) for sandbox in system.sandboxes]
    _tell(system, crowd, while_they_asked, spent, each)
    shown = [f"{1000 * value / idle_for:.1f}" for value in (idle.webs, idle.workers, idle.redis)]
    table(IDLE, [[f"{system.servers} × {WEBS}", *shown]])


async def _crowded(
    system: System, addresses: list[tuple[str, str]], seconds: float
) -> tuple[Crowd, Stretch, Spent]:
    """Have everybody ask; return them, the time that counts, and what was used in it."""
    async with asking([port for _, port in system.webs], addresses, REPLY_SECONDS) as crowd:
        for sandbox in system.sandboxes:
            await asyncio.to_thread(sandbox.forget)
        before = Spent.of(system)
        counted = await stretch(seconds)
        spent = Spent.of(system) - before
    await asyncio.to_thread(system.check)
    return crowd, counted, spent


def _tell(system: System, crowd: Crowd, counted: Stretch, spent: Spent, each: list[int]) -> None:
    waits = crowd.waits(counted)
    begun = len(waits)
    row = [f"{system.servers} × {WEBS}, {len(crowd.pages)} replies at once of {RATE:g} tokens a second"]
    row += [f"{begun / counted.seconds:.1f}"]
    row += [f"{1000 * percentile(waits, share):.1f}" for share in (0.5, 0.99)]
    row += [f"{1000 * spent.webs / begun:.1f}", f"{1000 * spent.redis / begun:.2f}"]
    row += [
        f"{crowd.share(counted):.4f}",
        f"{min(each)} to {max(each)}",
        f"{spent.webs / counted.seconds:.2f}",
    ]
    table(HEADS, [row])


if __name__ == "__main__":
    sys.exit(main())
