"""`make bench-switch`: the same unload and load by bare calls and by Gantry, in turn, and how soon pages see the progress.

    python -m bench.switch [--quick] [--rounds 5] [--pages 200] [--server daphne|uvicorn]
    python -m bench.switch --good 100   (so many switches with the checks before serving, of which none may be rolled back)

The sandbox's load has 50 modules of 100 ms. Gantry's switch is asked for by its HTTP API and counts until that answers;
its probe (one token) and the checks before serving, which bare calls do without, are taken off and shown beside it. Only one
row has the checks: the starter set.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import orjson
import requests
import uvloop

from bench.stream import say, table
from bench.stream_cases import percentile
from bench.stream_client import Broken, Socket
from bench.stream_people import Visitor, visitors
from bench.stream_system import KEY, System, running
from bench.stream_system import MODELS as MODELS_TEXT

MODELS = ("second-8B", "first-8B")
HEADERS = {"Authorization": f"Bearer {KEY}"}
PATIENCE = 60.0


@dataclass
class Bare:
    """Seconds of an unload and a load by two calls."""

    seconds: float


@dataclass
class Switched:
    """Seconds of a switch by Gantry, from the request to the answer, the probe and the checks taken off."""

    seconds: float
    probe: float
    checks: float
    ended: float  # from the request to the end in Gantry's history, the same taken off
    steps: dict[str, float]
    delays: list[float] = field(default_factory=list)  # from an event at TabbyAPI to each page


class Watcher(Socket):
    """A page on /ws/models/ that keeps what it is told, to be read afterwards: decoding would make its neighbours late."""

    def __init__(self, address: str, path: str, cookie: str) -> None:
        super().__init__(address, path, cookie)
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.kept: list[tuple[float, bytes]] = []

    def take(self, now: float, payload: bytes) -> None:
        """Keep one event."""
        self.kept.append((now, payload))
        if not self.opened.done():
            self.opened.set_result(None)

    def fail(self, error: Exception) -> None:
        super().fail(error)
        if not self.opened.done():
            self.opened.set_exception(error)


def main() -> int:
    """Measure, and print two tables; 1 where that was not possible."""
    chosen = _arguments()
    if chosen.good:
        return _good_switches(chosen.good, chosen.server)
    with running() as system, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        system.start_web(chosen.server)
        people = visitors(chosen.pages)
        admin = _administrator(people[0])
        time.sleep(3)
        bare: list[Bare] = []
        idle: list[Switched] = []
        watched: list[Switched] = []
        checked: list[Switched] = []
        try:
            for _ in range(chosen.rounds):
                bare.append(_by_bare_calls(system))
                idle.append(runner.run(_by_gantry(system, admin, [])))
                bare.append(_by_bare_calls(system))
                watched.append(runner.run(_by_gantry(system, admin, people)))
                checked.append(runner.run(_by_gantry(system, admin, [], checks=True)))
        except Exception as error:  # noqa: BLE001 (a machine may be too slow for it)
            say(f"Not measured: {type(error).__name__}: {error}")
            return 1
        rows = {
            "Gantry, idle": idle,
            f"Gantry, {chosen.pages} pages looking on": watched,
            "Gantry, idle, with checks": checked,
        }
        say(
            f"A switch (unload, load of 50 modules × 100 ms); {chosen.server}, {chosen.rounds} rounds, medians"
        )
        _print(bare, rows)
        _print_delays(watched, chosen.pages)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.switch", description="Measure a switch.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", dest="rounds", action="store_const", const=1, help="one round")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--good", type=int, default=0, help="only switch so often between two good models")
    parser.add_argument(
        "--server", choices=("daphne", "uvicorn"), default=os.environ.get("SERVER") or "daphne"
    )
    return parser.parse_args()


def _good_switches(times: int, server: str) -> int:
    """Switch so often between two models that hold all checks; print what became of that, 1 where any was not made."""
    succeeded, wrong, checking = 0, list[str](), list[float]()
    with running(
        models=MODELS_TEXT.replace("seconds_per_module = 0.1", "seconds_per_module = 0.01")
    ) as system:
        system.start_web(server)
        admin = _administrator(visitors(1)[0])
        time.sleep(3)
        for _ in range(times):
            try:
                number = _switch(system, admin, _other(system), checks=True)
            except Broken as error:
                wrong.append(str(error))
                continue
            checking.append(_checking(number))
            succeeded += _row(number).state == "succeeded"
    say(
        f"{succeeded} of {times} good switches succeeded; the starter checks took {1000 * median(checking):.0f} ms in the "
        f"middle, {1000 * max(checking):.0f} ms at most"
    )
    for each in wrong:
        say(each)
    return 0 if succeeded == times else 1


def _administrator(visitor: Visitor) -> Visitor:
    """Make this user one who may switch."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 (Django is set up by now)

    get_user_model().objects.filter(pk=visitor.user).update(is_staff=True, is_superuser=True)
    return visitor


def _loaded(system: System) -> str:
    answer = requests.get(f"{system.sandbox.url}/v1/model", headers=HEADERS, timeout=5)
    return str(answer.json()["id"])


def _other(system: System) -> str:
    return next(name for name in MODELS if name != _loaded(system))


def _by_bare_calls(system: System) -> Bare:
    """Unload and load by hand; then let Gantry see it, and come to rest."""
    target = _other(system)
    with requests.Session() as session:
        session.headers.update(HEADERS)
        began = time.time()
        session.post(f"{system.sandbox.url}/v1/model/unload", timeout=PATIENCE).raise_for_status()
        body = {"model_name": target}
        with session.post(
            f"{system.sandbox.url}/v1/model/load", json=body, stream=True, timeout=PATIENCE
        ) as answer:
            answer.raise_for_status()
            last = b""
            for line in answer.iter_lines():
                last = line or last
        seconds = time.time() - began
    if b"finished" not in last:
        raise Broken(f"the load by hand ended with {last!r}")
    _settle(system)
    return Bare(seconds)


def _settle(system: System) -> None:
    from models_admin.automation import upkeep  # noqa: PLC0415 (Django is set up by now)
    from models_admin.presentation import snapshots  # noqa: PLC0415
    from models_admin.servers import known  # noqa: PLC0415

    upkeep.refresh(known.default())
    end = time.monotonic() + PATIENCE
    while (now := snapshots.current(known.default()))["state"] != "ready" or now["model"] != _loaded(system):
        if time.monotonic() > end:
            raise Broken(f"Gantry does not see what is loaded: {now}")
        time.sleep(0.1)
    time.sleep(2)


async def _by_gantry(
    system: System, admin: Visitor, people: list[Visitor], *, checks: bool = False
) -> Switched:
    """Switch by the API, with a page of each of these people looking on; with the checks before serving or without."""
    target = await asyncio.to_thread(_other, system)
    pages = await _watching(system, people)
    system.sandbox.forget()
    began = time.time()
    number = await asyncio.to_thread(_switch, system, admin, target, checks)
    seconds = time.time() - began
    await asyncio.sleep(0.5)
    for page in pages:
        if page.lost is not None:
            raise page.lost
        page.close()
    row = await asyncio.to_thread(_row, number)
    probe = next(each for each in system.sandbox.log("/v1/chat/completions"))
    probed = probe["ended_at"] - probe["at"]
    checking = await asyncio.to_thread(_checking, number)
    if (checking > 0) != checks:
        raise Broken(f"the checks of the switch took {checking:g} s")
    off = probed + checking
    ended = row.finished_at.timestamp() - began
    switched = Switched(seconds - off, probed, checking, ended - off, row.seconds)
    (load,) = system.sandbox.log("/v1/model/load")
    for page in pages:
        switched.delays += _delays(page, number, load["events"])
    return switched


async def _watching(system: System, people: list[Visitor]) -> list[Watcher]:
    pages = []
    for person in people:
        page = Watcher(f"127.0.0.1:{system.port}", "/ws/models/", person.cookie)
        await asyncio.get_running_loop().create_connection(lambda page=page: page, "127.0.0.1", system.port)  # type: ignore[misc]
        await asyncio.wait_for(page.opened, PATIENCE)
        pages.append(page)
    await asyncio.sleep(1)
    return pages


def _checking(number: int) -> float:
    """Return the seconds that the checks of a switch took."""
    from models_admin.models import CheckRun  # noqa: PLC0415

    return sum(CheckRun.objects.filter(switch=number).values_list("seconds", flat=True))


def _switch(system: System, admin: Visitor, target: str, checks: bool) -> int:
    """Ask for a switch as curl does, and wait for the answer; return the switch's number."""
    from models_admin.models import Switch  # noqa: PLC0415

    answer = requests.post(
        f"http://127.0.0.1:{system.port}/api/admin/models/switch",
        json={"model_id": target, "skip_checks": not checks},
        headers={"Cookie": f"session_id={admin.cookie}"},
        timeout=PATIENCE,
    )
    if answer.status_code != 200:
        raise Broken(f"Gantry did not switch: {answer.status_code} {answer.text}")
    return int(Switch.objects.filter(target=target).latest("pk").pk)


def _row(number: int) -> Any:
    from models_admin.models import Switch  # noqa: PLC0415

    return Switch.objects.get(pk=number)


def _delays(page: Watcher, number: int, events: list[dict[str, Any]]) -> list[float]:
    """For each event of the load, the seconds until this page had it, or something newer of this switch."""
    told = [(now, _step(orjson.loads(payload), number)) for now, payload in page.kept]
    delays, at = [], 0
    for event in events:
        step = 2 * event["data"]["module"] + (event["data"]["status"] == "finished")
        while told[at][1] < step:
            at += 1
            if at == len(told):
                raise Broken(f"a page was never told of {event['data']}")
        delays.append(told[at][0] - event["at"])
    return delays


def _step(event: dict[str, Any], number: int) -> int:
    """How far a page has been told that the load of this switch is, comparable with the sandbox's events.

    What is said of the switch before it, which pages are also told of, is no progress.
    """
    backend = event.get("backend", event)
    if event["type"] not in ("hello", "backend"):
        return 0
    switch = backend["switch"] or backend["last"]
    if switch is None or switch["id"] != number:
        return 0
    if switch["state"] != "loading":
        return 10**6 if switch["state"] in ("verifying", "succeeded") else 0
    words = switch["detail"].split()  # module 7 of 50
    return 2 * int(words[-3]) + (switch["percent"] == 100) if len(words) >= 4 else 0


def _print(bare: list[Bare], gantry: dict[str, list[Switched]]) -> None:
    base = median(each.seconds for each in bare)
    rows = [["bare calls", f"{base:.3f}", "1", "", "", "", ""]]
    for name, runs in gantry.items():
        whole, ended = median(each.seconds for each in runs), median(each.ended for each in runs)
        probe, checks = (
            median(each.probe for each in runs),
            median(each.checks for each in runs),
        )
        steps: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            for step, seconds in run.steps.items():
                steps[step].append(seconds)
        shown = ", ".join(f"{step} {1000 * median(values):.0f}" for step, values in steps.items())
        rows.append(
            [
                name,
                f"{whole:.3f}",
                f"{whole / base:.3f}",
                f"{ended / base:.3f}",
                f"{1000 * probe:.1f}",
                f"{1000 * checks:.0f}",
                shown,
            ]
        )
    heads = [
        "",
        "seconds, without probe and checks",
        "ratio",
        "ratio, to the end in the history",
        "probe, ms",
        "checks, ms",
        "steps, ms",
    ]
    table(heads, rows)


def _print_delays(watched: list[Switched], pages: int) -> None:
    middle = [median([percentile(run.delays, share) for run in watched]) for share in (0.5, 0.99)]
    worst = max(max(run.delays) for run in watched)
    heads = [f"from TabbyAPI's event to a page, {pages} pages", "p50, ms", "p99, ms", "worst, ms"]
    cells = [f"{1000 * each:.1f}" for each in (*middle, worst)]
    table(heads, [["each event on each page", *cells]])


if __name__ == "__main__":
    sys.exit(main())
