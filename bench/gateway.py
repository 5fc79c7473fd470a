"""`make bench-gateway`: the same calls at TabbyAPI itself, through nginx, and through Gantry's /v1, in turn; medians.

    python -m bench.gateway [--quick] [--server daphne|uvicorn|both] [--only flood,paced,models]
        [--rounds 3] [--streams 100,200] [--profile FOLDER]

nginx has the core that the web process has, and only one of them works at a time. Only ratios and differences mean something
on another machine: all sides share the sandbox and the client, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import gateway_cases, stream_moments
from bench.gateway_cases import Rounds, Side
from bench.stream import say, table
from bench.stream_cases import Case, Run, percentile
from bench.stream_people import visitors
from bench.stream_system import CORES, System, running

PARTS = ("flood", "paced", "models")
PEOPLE = 200
NAMES = ("direct", "nginx", "through")
MODELS = ("first-8B", "second-8B")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    flood_tokens: int
    paced_seconds: float
    paced: tuple[int, ...] = (100, 200)


FULL = Plan(3, 10_000, 10.0)
QUICK = Plan(1, 4000, 3.0, (100,))


@dataclass
class Goal:
    """What a figure is to be, and what it is."""

    name: str
    wanted: str
    found: float
    met: bool


def main() -> int:
    """Measure what was asked for, and print it; 1 where some of it could not be measured."""
    chosen = _arguments()
    plan = QUICK if chosen.quick else FULL
    plan = replace(plan, rounds=chosen.rounds or plan.rounds)
    if chosen.streams:
        plan = replace(plan, paced=tuple(int(each) for each in chosen.streams.split(",")))
    servers = ("daphne", "uvicorn") if chosen.server == "both" else (chosen.server,)
    missing = 0
    say(
        f"{len(CORES)} cores, {platform.machine()}, Python {platform.python_version()}, {plan.rounds} rounds each, medians"
    )
    with running() as system, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tokens, nginx = gateway_cases.keys(visitors(PEOPLE)), gateway_cases.start_nginx(system)
        if nginx is None:
            say("There is no nginx on the PATH: its columns stay empty.")
        for server in servers:
            say(f"\n## Calls through Gantry on {server}")
            bench = Bench(system, server, plan, tokens, nginx, runner.run, chosen.profile)
            for part in chosen.only.split(","):
                try:
                    getattr(bench, part)()
                except Exception as error:  # noqa: BLE001 (a machine may be too slow for one part, and not for others)
                    say(f"\nNot measured, of “{part}”: {type(error).__name__}: {error}")
                    missing += 1
                system.end_web()
            bench.tell_goals()
    return 1 if missing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description="Measure Gantry's /v1.")
    parser.add_argument("--quick", action="store_true", help="one short round of each: to see that it works")
    parser.add_argument(
        "--server", choices=("daphne", "uvicorn", "both"), default=os.environ.get("SERVER") or "daphne"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas: %(default)s")
    parser.add_argument("--streams", help="paced: how many at once, with commas")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument(
        "--profile", type=Path, help="a folder for profiles of the web process (this costs some speed)"
    )
    return parser.parse_args()


@dataclass
class Bench:
    """The parts, on one server."""

    system: System
    server: str
    plan: Plan
    tokens: list[str]
    nginx: Side | None
    run: Any
    profile: Path | None
    goals: list[Goal] = field(default_factory=list)

    def _sides(self, name: str) -> list[Side]:
        """All sides, with a new web process that has what a first call loads behind it."""
        path = self.profile / f"{self.server}-gateway-{name}.txt" if self.profile else None
        self.system.start_web(self.server, profile=path.resolve() if path else None)
        ours = gateway_cases.through(self.system, self.tokens)
        self._measure(Case(4, 50, warms=True), [ours], 1)
        return [gateway_cases.direct(self.system), *([self.nginx] if self.nginx else []), ours]

    def _measure(self, case: Case, sides: list[Side], rounds: int = 0) -> Rounds:
        return gateway_cases.measure(self.system, case, sides, rounds or self.plan.rounds, self.run)

    def _goal(self, name: str, wanted: str, found: float, *, met: bool) -> None:
        self.goals.append(Goal(name, wanted, found, met))

    def flood(self) -> None:
        """As fast as the sandbox sends, 20 at once."""
        tokens = self.plan.flood_tokens
        found = self._measure(Case(20, tokens), self._sides("flood"))
        rates, costs = _each(found, _rate), _each(found, _cost)
        ratio = rates["through"] / rates["direct"]
        heads = ["flood", *(f"{name}, tokens/s" for name in NAMES), "through / direct"]
        heads += ["CPU s per 1,000: nginx", "through"]
        row = [f"20 × {tokens:,} tokens", *(_shown(rates, name, ",.0f") for name in NAMES), f"{ratio:.2f}"]
        table(heads, [[*row, _shown(costs, "nginx", ".4f"), _shown(costs, "through", ".4f")]])
        self._goal("flood, through / direct", "≥ 0.7", ratio, met=ratio >= 0.7)
        spent = costs["through"]
        self._goal("flood, CPU s per 1,000 tokens", "≤ 0.01", spent, met=spent <= 0.01)

    def paced(self) -> None:
        """50 tokens a second each."""
        heads = [
            "paced, 50 tokens/s",
            "share of what is offered: direct, nginx, through",
            "delay p50 ms",
            "delay p99 ms",
        ]
        heads += ["first token ms, one after another", "CPU s per 1,000: nginx", "through"]
        rows: list[list[str]] = []
        try:
            for streams in self.plan.paced:
                rows.append(self._paced(streams))
        finally:
            if rows:
                table(heads, rows)

    def _paced(self, streams: int) -> list[str]:
        seconds = self.plan.paced_seconds
        case = Case(streams, int(50 * seconds), 50.0, spread=seconds / 2)
        found = self._measure(case, self._sides(f"paced-{streams}"))
        shares, costs = _each(found, lambda run: run.achieved), _each(found, _cost)
        half = _each(found, lambda run: 1000 * percentile(run.delays, 0.5))
        most = _each(found, lambda run: 1000 * percentile(run.delays, 0.99))
        first = _each(found, lambda run: 1000 * median(run.first))
        share = shares["through"]
        self._goal(f"paced × {streams}, share of what is offered", "1.000", share, met=share >= 0.9995)
        if streams == 100:
            late, begun = most["through"] - most["direct"], first["through"] - first["direct"]
            self._goal("paced × 100, delay p99 added, ms", "≤ 5", late, met=late <= 5)
            self._goal("paced × 100, first token added, ms", "≤ 15", begun, met=begun <= 15)
        shown = [", ".join(_shown(shares, name, ".3f") for name in NAMES)]
        shown += [_added(each) for each in (half, most, first)]
        return [f"{streams} at once", *shown, _shown(costs, "nginx", ".4f"), _shown(costs, "through", ".4f")]

    def models(self) -> None:
        """How soon `/v1/models` answers, while a model loads, and beside 100 paced streams."""
        *_, ours = sides = self._sides("models")
        rows = []
        for name, work in (("while a model loads", self._load), ("beside 100 paced streams", self._streams)):
            cells = []
            for side in (sides[0], ours):
                took = self.run(self._asked(side, work))
                half, most = (1000 * percentile(took, share) for share in (0.5, 0.99))
                cells += [f"{half:.1f}", f"{most:.1f}", f"{1000 * max(took):.1f}", str(len(took))]
            self._goal(f"/v1/models p99 {name}, ms", "≤ 100", most, met=most <= 100)
            rows.append([name, *cells])
        sub = [
            f"{side}: {figure}"
            for side in ("direct", "through")
            for figure in ("p50 ms", "p99", "worst", "asked")
        ]
        table(["/v1/models", *sub], rows)

    async def _asked(self, side: Side, work: Callable[[Side], Any]) -> list[float]:
        return await gateway_cases.models(side, asyncio.ensure_future(work(side)))

    async def _load(self, side: Side) -> None:
        loaded = await asyncio.to_thread(self.system.sandbox.call, "GET", "state")
        target = next(name for name in MODELS if name != loaded["loaded"])
        await asyncio.to_thread(stream_moments.load_directly, self.system, target)

    async def _streams(self, side: Side) -> Run:
        seconds = self.plan.paced_seconds
        return await gateway_cases.streams(
            self.system, Case(100, int(50 * seconds), 50.0, spread=seconds / 2), side
        )

    def tell_goals(self) -> None:
        """Print which goals are met."""
        rows = [
            [each.name, each.wanted, f"{each.found:.3f}", "yes" if each.met else "**no**"]
            for each in self.goals
        ]
        if rows:
            table(["goal", "wanted", "found", "met"], rows)


def _rate(run: Run) -> float:
    return run.tokens_per_second


def _cost(run: Run) -> float:
    return run.cpu_per_1000


def _each(found: Rounds, figure: Callable[[Run], float]) -> dict[str, float]:
    """The figure of each side that is there."""
    return {name: value for name in NAMES if (value := found.of(name, figure)) is not None}


def _shown(figures: dict[str, float], name: str, form: str) -> str:
    return format(figures[name], form) if name in figures else "no nginx"


def _added(figures: dict[str, float]) -> str:
    """Milliseconds of each side, and what Gantry adds to TabbyAPI's own."""
    added = figures["through"] - figures["direct"]
    return f"{', '.join(_shown(figures, name, '.1f') for name in NAMES)}: {added:+.1f}"


if __name__ == "__main__":
    sys.exit(main())
