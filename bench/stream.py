"""`make bench`: the same streams straight from the sandbox, through a bare relay, and through Gantry, in turn; medians.

    python -m bench.stream [--quick] [--server daphne|uvicorn|both] [--only flood,paced] [--rounds 3] [--profile FOLDER]

Only ratios and differences mean something on another machine: all sides share the sandbox and the client, in the same run.
The bare relay (bare_relay.py) has the core that the web process has, and only one of them works at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import stream_hostile, stream_moments, stream_webs
from bench.stream_cases import Case, Sides, measure, percentile
from bench.stream_people import Visitor, visitors
from bench.stream_system import CORES, System, running

PARTS = ("flood", "paced", "markdown", "hostile", "webs", "resume", "sockets")
PEOPLE = 200


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    flood_tokens: int
    paced_seconds: float
    paced: tuple[int, ...]
    sockets: int
    queued: int


FULL = Plan(3, 10_000, 10.0, (20, 50, 100, 200), 1000, 200)
QUICK = Plan(1, 2000, 3.0, (20, 100), 300, 200)
QUICK_PARTS = ("flood", "paced", "resume", "sockets")


def main() -> int:
    """Measure what was asked for, and print it; 1 where some of it could not be measured."""
    chosen = _arguments()
    plan = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or plan.rounds
    if chosen.streams:
        plan = replace(plan, paced=tuple(int(each) for each in chosen.streams.split(",")))
    servers = ("daphne", "uvicorn") if chosen.server == "both" else (chosen.server,)
    parts = chosen.only.split(",") if chosen.only else QUICK_PARTS if chosen.quick else PARTS
    missing = 0
    say(
        f"{len(CORES)} cores, {platform.machine()}, Python {platform.python_version()}, {rounds} rounds each, medians"
    )
    with running() as system, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        people = visitors(PEOPLE)
        for server in servers:
            say(f"\n## Gantry on {server}")
            bench = Bench(system, server, plan, people, run=runner.run, rounds=rounds, profile=chosen.profile)
            for part in parts:
                try:
                    getattr(bench, part)()
                except Exception as error:  # noqa: BLE001 (a machine may be too slow for one part, and not for others)
                    say(f"\nNot measured, of “{part}”: {type(error).__name__}: {error}")
                    system.end_web()
                    missing += 1
    return 1 if missing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stream", description="Measure Gantry's chat.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one short round, in some two minutes: {', '.join(QUICK_PARTS)}, if nothing else is said",
    )
    parser.add_argument(
        "--server", choices=("daphne", "uvicorn", "both"), default=os.environ.get("SERVER") or "daphne"
    )
    parser.add_argument("--only", default="", help=f"parts, with commas: {','.join(PARTS)}")
    parser.add_argument("--streams", help="paced: how many at once, with commas")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument(
        "--profile", type=Path, help="a folder for profiles of the web process (this costs some speed)"
    )
    return parser.parse_args()


class Bench:
    """The parts, on one server."""

    def __init__(
        self,
        system: System,
        server: str,
        plan: Plan,
        people: list[Visitor],
        *,
        run: Any,
        rounds: int,
        profile: Path | None,
    ) -> None:
        self.system, self.server, self.plan, self.rounds = system, server, plan, rounds
        self.people, self.run, self.profile = people, run, profile

    def _start_web(self, name: str) -> None:
        path = self.profile / f"{self.server}-{name}.txt" if self.profile else None
        self.system.start_web(self.server, profile=path.resolve() if path else None)

    def _fresh_web(self, name: str) -> None:
        """A new web process, with what a first reply loads behind it."""
        self._start_web(name)
        measure(self.system, Case(4, 50, warms=True), self.people, 1, self.run)

    @contextmanager
    def _table(self, *heads: str) -> Iterator[list[list[str]]]:
        """Print the rows that are there in the end, also where what came next could not be measured."""
        rows: list[list[str]] = []
        try:
            yield rows
        finally:
            self.system.end_web()
            if rows:
                table(list(heads), rows)

    def flood(self) -> None:
        """As fast as the sandbox sends, 20 at once."""
        tokens = self.plan.flood_tokens
        cases = {"words": Case(20, tokens), "Markdown": Case(20, tokens, markdown=True)}
        heads = "flood", "direct tokens/s", "bare relay", "through", "through / direct", COSTS
        with self._table(*heads) as rows:
            for name, case in cases.items():
                self._fresh_web(f"flood-{name}")
                sides = measure(self.system, case, self.people, self.rounds, self.run)
                rate = lambda run: run.tokens_per_second  # noqa: E731
                rates = (f"{sides.of(side, rate):,.0f}" for side in ("direct", "bare", "through"))
                ratio = f"{sides.ratio(rate, 'direct'):.2f}"
                rows.append([f"20 × {tokens:,} tokens, {name}", *rates, ratio, _costs(sides)])

    def paced(self) -> None:
        """50 tokens a second each."""
        heads = ["paced, 50 tokens/s", "share of what is offered: direct, bare, through", "delay p50 ms"]
        heads += ["delay p99 ms", "first token ms, one after another", "of it until TabbyAPI sent it", COSTS]
        heads += ["first token ms, all at once", "of it until TabbyAPI sent it"]
        seconds = self.plan.paced_seconds
        with self._table(*heads) as rows:
            for streams in self.plan.paced:
                self._fresh_web(f"paced-{streams}")
                case = Case(streams, int(50 * seconds), 50.0, spread=seconds / 2)
                rows.append(_paced_row(case, measure(self.system, case, self.people, self.rounds, self.run)))
                burst = measure(self.system, Case(streams, 50, 50.0), self.people, self.rounds, self.run)
                rows[-1] += _first_tokens(burst)

    def markdown(self) -> None:
        """100 paced replies of words, and of Markdown: what rendering costs."""
        spent: list[float] = []
        seconds = self.plan.paced_seconds
        with self._table("paced, 50 tokens/s", COSTS, "of words") as rows:
            for name, markdown in (("words", False), ("Markdown", True)):
                self._fresh_web(f"paced-{name}")
                case = Case(100, int(50 * seconds), 50.0, spread=seconds / 2, markdown=markdown)
                sides = measure(self.system, case, self.people, self.rounds, self.run)
                spent.append(sides.of("through", lambda run: run.cpu_per_1000))
                rows.append([f"100 at once, {name}", _costs(sides), f"{spent[-1] / spent[0]:.2f}"])

    def hostile(self) -> None:
        """The tokens of 20 paced replies beside one that is as bad as can be."""
        heads = ["one reply streams, again and again", "delay of others' tokens p50 ms: direct → through"]
        heads += ["p99 ms", "worst ms"]
        with self._table(*heads) as rows:
            self._fresh_web("hostile")
            for name in stream_hostile.INPUTS:
                rows.append(stream_hostile.row(self.system, name, self.people, self.rounds, self.run))

    def webs(self) -> None:
        """Two web processes, and people who share a conversation across them."""
        with self._table(*stream_webs.HEADS) as rows:
            case = Case(100, int(50 * self.plan.paced_seconds), 50.0, spread=self.plan.paced_seconds / 2)
            self.system.start_web(self.server)
            self.system.start_another_web(self.server)
            rows.extend(stream_webs.rows(self.system, case, self.people, self.run))

    def resume(self) -> None:
        """Queued messages when a switch ends."""
        self._fresh_web("resume")
        found = []
        for number in range(self.rounds):
            target = ("second-8B", "first-8B")[number % 2]
            addresses = stream_moments.addresses(self.people, self.plan.queued)
            found.append(self.run(stream_moments.resume(self.system, target, addresses)))
            time.sleep(0.5)
        stream_moments.load_directly(self.system, "first-8B")
        self.system.end_web()
        cells = [
            f"{1000 * median(getattr(each, name) for each in found):,.0f}"
            for name in ("median", "last", "probed")
        ]
        heads = [f"resume: {self.plan.queued} queued", "first token of the median one, ms", "of the last, ms"]
        table([*heads, "of the last, from the probe's answer, ms"], [["after the switch", *cells]])

    def sockets(self) -> None:
        """Memory, and what idle pages cost."""
        self._start_web("sockets")
        count = self.plan.sockets
        addresses = stream_moments.addresses(self.people, count + 1)
        streams = min(200, count)
        held = self.run(stream_moments.hold(self.system, addresses, streams, seconds=self.plan.paced_seconds))
        self.system.end_web()
        row = [f"{held.empty:.0f}", f"{held.idle - held.empty:.0f}", f"{held.per_socket:.0f}"]
        row += [f"{held.per_stream:.0f}", f"{held.idle_cpu:.3f}"]
        heads = ["empty process, MiB", f"{held.sockets:,} idle sockets over it, MiB", "KiB per socket"]
        table([*heads, f"KiB per stream (of {held.streams})", "CPU s per idle second"], [row])


COSTS = "CPU s per 1,000: bare, through, ratio"


def _costs(sides: Sides) -> str:
    bare, through = (sides.of(side, lambda run: run.cpu_per_1000) for side in ("bare", "through"))
    return f"{bare:.4f}, {through:.4f}, {through / bare:.2f}"


def _milliseconds(sides: Sides, figure: Any) -> str:
    direct, bare, through = (1000 * sides.of(side, figure) for side in ("direct", "bare", "through"))
    return f"{direct:.1f}, {bare:.1f}, {through:.1f}: bare {through - bare:+.1f}"


def _paced_row(case: Case, sides: Sides) -> list[str]:
    achieved = [sides.of(side, lambda run: run.achieved) for side in ("direct", "bare", "through")]
    return [
        f"{case.streams} at once",
        ", ".join(f"{each:.3f}" for each in achieved),
        _milliseconds(sides, lambda run: percentile(run.delays, 0.5)),
        _milliseconds(sides, lambda run: percentile(run.delays, 0.99)),
        *_first_tokens(sides),
        _costs(sides),
    ]


def _first_tokens(sides: Sides) -> list[str]:
    return [
        _milliseconds(sides, lambda run: median(run.first)),
        _milliseconds(sides, lambda run: median(run.begun)),
    ]


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    say("")
    for row in [heads, ["---"] * len(heads), *rows]:
        say(f"| {' | '.join(row)} |")


def say(line: str) -> None:
    """Print at once, for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
