"""`make chaos`: kill, freeze and confuse the parts of a running Gantry while 20 people chat, and see that nothing is lost.

Each trial lets a switch come to a step, does something to a victim, brings it back, and measures how long it takes until
everything is right: each message answered exactly once or failed honestly, nothing stuck, Gantry's word what TabbyAPI
does, and every page showing that. All choices come from the seed; timing is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from bench.chaos_crowd import crowd
from bench.chaos_plan import Plan, plan
from bench.chaos_system import System
from bench.chaos_table import LIMIT, Result, table
from bench.chaos_trial import Trial

USERS = 20
log = logging.getLogger("chaos")


async def trials(
    plans: Sequence[Plan],
    folder: Path,
    database_url: str = "",
    users: int = USERS,
    *,
    results: list[Result] | None = None,
    servers: int = 1,
) -> list[Result]:
    """Carry out the plans, one after the other on one system; a system that a trial left wrong is replaced.

    `folder` gets the logs; `database_url` names a PostgreSQL server to make a database in, '' means SQLite. With several
    `servers` each switch is a rollout, and a fault waits at each of them.
    Each result is put into `results` when it is there; the whole list is returned.
    """
    results = [] if results is None else results
    waiting = list(plans)
    while waiting:
        system = System(folder / f"system-{len(results) + 1}", database_url, servers)
        try:
            cookies = await system.start(users)
            # A cookie jar would mix the people up, and an idle connection may belong to a process that is dead.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                good = True
                while waiting and good:
                    begun = time.monotonic()
                    result = await _trial(Trial(waiting.pop(0), system, session, cookies), system)
                    results.append(result)
                    good = result.seconds is not None and result.good
                    _say(result, time.monotonic() - begun, len(results), len(plans), servers)
        finally:
            await system.stop()
    return results


async def _until_ended(work: Coroutine[Any, Any, object]) -> None:
    """Do the work, or as much of it as Ctrl-C and SIGTERM allow; what it started is stopped in any case."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _trial(trial: Trial, system: System) -> Result:
    """Carry one trial out, with a log of its own; keep that, and what the system printed, if it went wrong."""
    begun_at = system.log.stat().st_size
    path = system.folder.parent / f"trial-{trial.plan.number}.log"
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        result = await trial.run()
    except Exception as error:
        log.exception("The trial itself broke")
        result = Result(trial.plan, None, complaints=[f"the trial itself broke: {error!r}"])
    finally:
        log.removeHandler(handler)
        handler.close()
    if not result.good:
        with path.open("ab") as file, system.log.open("rb") as printed:
            printed.seek(begun_at)
            complaints = "\n".join([*result.lost, *result.doubled, *result.complaints])
            file.write(f"\nWhat is wrong:\n{complaints}\n\nWhat the system printed:\n".encode())
            shutil.copyfileobj(printed, file)
        result.log = str(path)
    return result


def _say(result: Result, took: float, count: int, of: int, servers: int) -> None:
    plan = result.plan
    right = "never" if result.seconds is None else f"{result.seconds:.1f} s"
    met = "" if result.met else ", step not seen"
    counts = f"{result.sent} sent, {result.continued} continued, {result.failed} failed; "
    counts += f"{result.calls} calls, {result.joined} joined, {result.cut} cut"
    bad = f"{len(result.lost)} lost, {len(result.doubled)} doubled"
    where = f"trial {plan.number:<4} {plan.step:<12} {plan.action:<15}"
    print(f"{count:>3}/{of}  {where} right after {right:<7} {counts}, {bad}{met} ({took:.0f} s)", flush=True)
    if not result.good:
        database = "DB=postgres " if os.environ.get("DATABASE_URL") else ""
        several = f"SERVERS={servers} " if servers > 1 else ""
        wrong = dict.fromkeys([*result.lost, *result.doubled, *result.complaints])
        for line in list(wrong)[:8] or [f"it took longer than {LIMIT:g} s"]:
            print(f"         ✗ {line[:300]}")
        print(
            f"         again: make chaos {database}{several}SEED={plan.seed} ONLY={plan.number}    log: {result.log}",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials and print the table; 1 if any of them did not end as it has to."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Kill and freeze the parts of a running Gantry."
    )
    parser.add_argument("--trials", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="default: the time")
    parser.add_argument(
        "--only", type=int, nargs="*", default=[], metavar="TRIAL", help="only these of the run"
    )
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument(
        "--servers", type=int, default=1, help="how many TabbyAPIs; each switch changes all of them"
    )
    parser.add_argument(
        "--callers",
        type=int,
        default=0,
        help="instead of trials: so many programs at once, through all of it",
    )
    chosen = parser.parse_args(argv)
    seed = chosen.seed or int(time.time())
    database_url = os.environ.get("DATABASE_URL", "")
    plans = [plan(seed, number) for number in chosen.only or range(1, chosen.trials + 1)]
    folder = Path(tempfile.mkdtemp(prefix="gantry-chaos-"))
    log.setLevel(logging.INFO)
    log.propagate = False
    if chosen.callers:
        return _crowd(folder, database_url, chosen.callers, seed)
    print(
        f"{len(plans)} trials, seed {seed}, {'PostgreSQL' if database_url else 'SQLite'}, {chosen.users} people"
        f"{f', {chosen.servers} servers' if chosen.servers > 1 else ''}"
    )
    begun = time.monotonic()
    results: list[Result] = []
    asyncio.run(
        _until_ended(
            trials(plans, folder, database_url, chosen.users, results=results, servers=chosen.servers)
        )
    )
    print(f"\n{table(results)}\n")
    good = sum(each.good for each in results)
    counted = ("sent", "continued", "compared", "failed", "calls", "joined", "cut")
    sent, continued, compared, failed, calls, joined, cut = (
        sum(getattr(each, what) for each in results) for what in counted
    )
    print(
        f"{good} of {len(results)} trials kept the promise; {sent:,} messages; {continued} replies were begun by one "
        f"model and ended by another, {compared} compared, {failed} failed honestly; {calls:,} calls of programs, "
        f"{joined} with two models, {cut} ended by an error for which there was a reason; "
        f"{time.monotonic() - begun:.0f} s; seed {seed}"
    )
    if good == len(plans):
        shutil.rmtree(folder)
        return 0
    print(f"Logs: {folder}")
    return 1


def _crowd(folder: Path, database_url: str, callers: int, seed: int) -> int:
    print(f"{callers} programs, seed {seed}, {'PostgreSQL' if database_url else 'SQLite'}", flush=True)
    complaints = asyncio.run(crowd(folder, database_url, callers, seed))
    for line in complaints[:20]:
        print(f"         ✗ {line[:300]}")
    if complaints:
        print(f"Logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
