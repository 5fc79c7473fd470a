"""`make chaos CALLERS=200`: so many programs call at once, while models are switched and parts die, freeze and come back.

One web process of two is killed (kill -9) in the middle of a switch, the other one is stopped for longer than its heartbeat
may be old, in the middle of the next, and then TabbyAPI is started anew. Half of the calls are streams.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import psycopg

from bench.chaos_admin import Admin
from bench.chaos_callers import Blow, Call, Caller, judge_calls
from bench.chaos_plan import MODELS
from bench.chaos_system import QUICK, System
from bench.chaos_views import backend_complaints

RATES = (12, 20)  # tokens a second: calls take one to ten seconds
BETWEEN = 3.0  # seconds
PATIENCE = 90.0  # until everything has to be right


async def crowd(folder: Path, database_url: str, count: int, seed: int) -> list[str]:
    """Have so many programs call; return what was not as it has to be, in words."""
    system = System(folder / "system", database_url)
    try:
        cookies = await system.start(count)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            admin = Admin(session, system.webs, cookies["admin"], random.Random(seed))
            return await Crowd(system, admin, count, seed).run()
    finally:
        await system.stop()


class Crowd:
    """The programs, the administrator and the system."""

    def __init__(self, system: System, admin: Admin, count: int, seed: int) -> None:
        self.system, self.admin = system, admin
        webs = [web.removeprefix("http://") for web in system.webs]
        names = [name for name in system.tokens if name != "admin"][:count]
        self.callers = [
            Caller(webs, system.tokens[name], random.Random(f"{seed}/{name}"), RATES) for name in names
        ]
        self.blows: list[Blow] = []
        self.begun = time.monotonic()

    async def run(self) -> list[str]:
        """Carry it out."""
        quiet = asyncio.Event()
        for page in self.admin.pages:
            page.open()
        programs = [asyncio.create_task(caller.live(quiet)) for caller in self.callers]
        try:
            await asyncio.sleep(BETWEEN)
            await self._switch("loading")
            await self._kill("web-2")
            await self._idle()
            await self._switch("draining")
            await self._freeze("web", float(QUICK["HEARTBEAT_TTL"]) + 2)
            await self._idle()
            await self._restart_tabby()
            await asyncio.sleep(BETWEEN)
            quiet.set()
            return await self._converge()
        finally:
            self.system.thaw()
            for task in programs:
                task.cancel()
            for page in self.admin.pages:
                await page.close()

    def _calls(self) -> list[Call]:
        return [call for caller in self.callers for call in caller.calls]

    def _say(self, what: str) -> None:
        calls = self._calls()
        opened = [call for call in calls if call.ended is None]
        streams = sum(call.stream for call in opened)
        print(
            f"{time.monotonic() - self.begun:5.1f} s  {what:<55} {len(opened)} open calls, {streams} of them streams; "
            f"{len(calls) - len(opened)} ended, {sum(bool(call.error) for call in calls)} by an error",
            flush=True,
        )

    async def _switch(self, state: str) -> None:
        loaded = (await self.system.loaded()).values()
        target = next(name for name in MODELS if name not in loaded)
        asked = await self.admin.switch(target)
        met = asked is not None and await self.admin.sees(asked, state, PATIENCE)
        self._say(f"a switch to {target} is {state if met else 'not seen at that step'}")

    async def _idle(self) -> None:
        """Wait until no switch runs, and a little longer."""
        await self.system.until(self._no_switch, "the end of the switch")
        await asyncio.sleep(BETWEEN)

    async def _no_switch(self) -> bool:
        return not (await asyncio.to_thread(self.system.database.facts, 0)).running

    async def _kill(self, name: str) -> None:
        blow = Blow("kill", name, self.system.address(name))
        self.blows.append(blow)
        killed = self.system.kill(name)
        self._say(f"kill -9 of {name}")
        await self.system.returned(name, killed)
        blow.end()
        self._say(f"{name} is back")

    async def _freeze(self, name: str, seconds: float) -> None:
        self.blows.append(Blow("freeze", name, self.system.address(name)))
        self.system.freeze(name)
        self._say(f"SIGSTOP of {name} for {seconds:g} s")
        await asyncio.sleep(seconds)
        self.system.thaw()
        self.blows[-1].end()
        self._say(f"{name} goes on")

    async def _restart_tabby(self) -> None:
        blow = Blow("kill", "sandbox")
        self.blows.append(blow)
        self.system.kill("sandbox")
        self._say("kill -9 of TabbyAPI")
        await asyncio.sleep(1.0)
        await self.system.start_sandbox("sandbox", empty=False)
        blow.end()
        self._say("TabbyAPI is back")

    async def _converge(self) -> list[str]:
        quiet_at = time.monotonic()
        while complaints := await self._complaints():
            if time.monotonic() - quiet_at > PATIENCE:
                break
            await asyncio.sleep(0.5)
        calls = self._calls()
        self._say(
            f"right {time.monotonic() - quiet_at:.1f} s after the last call began"
            if not complaints
            else "not right"
        )
        joined = sum(len(call.models) > 1 and not call.error for call in calls)
        broken = sum(call.error == "broken" for call in calls)
        others = sum(bool(call.error) and call.error != "broken" for call in calls)
        print(
            f"{len(calls):,} calls: {joined} streams of two models joined, {broken} cut with the process that was killed, "
            f"{others} told of TabbyAPI's end, {len(complaints)} complaints"
        )
        return complaints

    async def _complaints(self) -> list[str]:
        with suppress(psycopg.Error, aiohttp.ClientError, OSError, TimeoutError):
            facts = await asyncio.to_thread(self.system.database.facts, 0)
            states = {"sandbox": await self.system.ask_sandbox("sandbox", "state")}
            left = [*facts.running, *facts.leases, *facts.calls, *backend_complaints(facts, states)]
            return [*left, *judge_calls(self._calls(), self.blows)]
        return ["it cannot be checked"]
