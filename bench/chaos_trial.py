"""One trial: people chat, a switch runs, something dies, freezes or lies; then everything has to be right again."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

import aiohttp
import psycopg

from bench.chaos_admin import Admin
from bench.chaos_callers import Blow, Call, Caller, judge_calls
from bench.chaos_people import Page, chat
from bench.chaos_plan import MODELS, TOO_BIG, Plan
from bench.chaos_system import REPOSITORY, System
from bench.chaos_table import LIMIT, Result
from bench.chaos_truth import Verdict, judge
from bench.chaos_views import backend_complaints, page_complaints, view_complaints

log = logging.getLogger("chaos")

CALLERS = 8  # programs of so many of the people
TABS = 6  # people who look at their conversation through both web processes
STEP_PATIENCE = 8.0  # how long a step is waited for; for that of the second server twice as long
LAST_WORDS = 0.3  # people go on chatting so long after the victim is back
POLL = 0.2
STAYS_RIGHT = 0.7  # once right, it must still be so after this
GIVEN_UP = LIMIT + 15


class Trial:
    """The people, the administrator and the system of one trial."""

    def __init__(
        self, plan: Plan, system: System, session: aiohttp.ClientSession, cookies: dict[str, str]
    ) -> None:
        self.plan, self.system, self.session, self.cookies = plan, system, session, cookies
        self.dice = plan.random("trial")
        self.admin = Admin(session, system.webs, cookies["admin"], plan.random("admin"))
        self.pages: list[Page] = []
        self.tabs: list[Page] = []
        self.callers: list[Caller] = []
        self.blows: list[Blow] = []
        self.added = f"added-{plan.number}"  # the folder of a model that is downloaded meanwhile
        self.quiet = asyncio.Event()
        self.after = 0
        self.met = True
        self.verdict = Verdict()
        self.healed = 0.0

    async def run(self) -> Result:
        """Carry the trial out; the system is to be right when it begins."""
        plan = self.plan
        log.info("Trial %s: at %s, %s; %s", plan.number, plan.step, plan.action, plan)
        self.after = await asyncio.to_thread(self.system.database.last_message)
        await self.admin.add(str(REPOSITORY["name"]), self.added)
        await self._gather()
        chats = [asyncio.create_task(chat(page, self.quiet)) for page in self.pages]
        programs = [asyncio.create_task(caller.live(self.quiet)) for caller in self.callers]
        try:
            await asyncio.sleep(plan.chatting)
            await self._reach_step()
            await asyncio.sleep(plan.delay)
            unbroken = {id(page): page.connections for page in self._all_pages()}
            await self._strike()
            back = time.monotonic()
            log.info("The victim is back")
            await asyncio.sleep(LAST_WORDS)
            self.quiet.set()
            await asyncio.gather(*chats)
            seconds, complaints = await self._converge(back)
            stayed = sum(unbroken[id(page)] == page.connections for page in self._all_pages())
            log.info("%s of %s pages stayed connected", stayed, len(self._all_pages()))
            return self._result(seconds, complaints)
        finally:
            for task in (*chats, *programs):
                task.cancel()
            self.system.thaw()
            await asyncio.gather(*(page.close() for page in self._all_pages()))

    def _calls(self) -> list[Call]:
        return [call for caller in self.callers for call in caller.calls]

    def _all_pages(self) -> list[Page]:
        return [*self.pages, *self.tabs, *self.admin.pages]

    async def _gather(self) -> None:
        """Everybody opens a page on a conversation of their own, some a second one through the other web process."""
        names = [name for name in self.cookies if name != "admin"]
        made = await asyncio.gather(*(self._conversation(name) for name in names))
        webs = self.system.webs
        for name, conversation in zip(names, made, strict=True):
            page = Page(self.session, webs, self.cookies[name], conversation, self.plan.random(name))
            self.pages.append(page)
            if len(self.tabs) < TABS:
                others = [web for web in webs if web != page.web]
                dice = self.plan.random(f"{name}'s second page")
                self.tabs.append(Page(self.session, others, self.cookies[name], conversation, dice))
        addresses = [web.removeprefix("http://") for web in webs]
        for name in names[:CALLERS]:
            dice = self.plan.random(f"{name}'s program")
            self.callers.append(Caller(addresses, self.system.tokens[name], dice))
        for page in self._all_pages():
            page.open()
        async with asyncio.timeout(20):
            while not all(page.connected for page in self._all_pages()):
                await asyncio.sleep(0.02)

    async def _conversation(self, name: str) -> str:
        web = self.dice.choice(self.system.webs)
        headers = {"Cookie": f"session_id={self.cookies[name]}"}
        async with self.session.post(f"{web}/api/conversations", json={}, headers=headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["id"])

    # The switch ---------------------------------------------------------------------------------------------------------

    async def _reach_step(self) -> None:
        """Have a switch begin, and wait until pages show it at the step; nothing at all for the step "idle"."""
        plan = self.plan
        loaded = await self.system.loaded()
        if plan.step == "idle" or plan.step not in ("draining", "verifying"):
            await self._arm(loaded)
        if plan.step == "idle":
            return
        if plan.step == "queued":  # else it is over in no time
            for name in loaded:
                await self._fault(name, {"on": "permission", "kind": "slow", "seconds": 0.4})
        if plan.step == "draining":
            await self._arm(loaded)
        rolls_back = plan.step == "rolling_back"
        target = TOO_BIG if rolls_back else self._other(loaded)
        asked = await self.admin.switch(target)
        log.info("%s: from %s to %s", asked, loaded, target)
        turn = 2 if plan.second and len(loaded) > 1 else 1
        if plan.step == "verifying" and asked is not None:
            await self.admin.sees(asked, "loading", STEP_PATIENCE * turn, turn)
            await self._arm(loaded)
        self.met = asked is not None and await self.admin.sees(asked, plan.step, STEP_PATIENCE * turn, turn)
        if not self.met and plan.fault is not None:  # which may have ended the step before anybody saw it
            left = [(await self.system.ask_sandbox(name, "fault"))["faults"] for name in loaded]
            self.met = not all(left)
        log.info("It is %s", plan.step if self.met else "not where it was waited for")

    def _other(self, loaded: dict[str, str]) -> str:
        """A model that no server has loaded."""
        others = [name for name in MODELS if name not in loaded.values()]
        return others[int(self.plan.draw * len(others))]

    async def _arm(self, loaded: dict[str, str]) -> None:
        """Have the fault of the plan wait at every server."""
        if self.plan.fault is None:
            return
        for name, model in loaded.items():
            fault = dict(self.plan.fault)
            if fault.get("model") == "previous":
                fault["model"] = model
            await self._fault(name, fault)

    async def _fault(self, name: str, fault: dict[str, Any]) -> None:
        log.info("Fault of %s: %s", name, fault)
        self.blows.append(Blow("fault", "fault", on=fault["on"]))
        await self.system.ask_sandbox(name, "fault", fault)

    async def _end_faults(self) -> None:
        for name in self.system.tabbies:
            await self.system.ask_sandbox(name, "fault", method="DELETE")

    # The blow -----------------------------------------------------------------------------------------------------------

    async def _strike(self) -> None:
        """Do what the plan says, and undo it; return when the victim is back."""
        plan, system = self.plan, self.system
        name = await asyncio.to_thread(self._victim)
        anyway: asyncio.Task[str | None] | None = None
        if plan.step == "idle" and plan.switch_anyway:
            anyway = asyncio.create_task(self._switch_soon(self._other(await system.loaded())))
        is_sandbox = plan.victim == "sandbox"
        self.blows.append(Blow(plan.deed, plan.victim if is_sandbox else name, system.address(name)))
        if plan.deed == "kill":
            killed = system.kill(name)
            log.info("Killed %s (%s)", name, killed)
            if is_sandbox:
                await asyncio.sleep(plan.down)
                await system.start_sandbox(name, empty=plan.comes_back_empty)
            else:
                await system.returned(name, killed)
        elif plan.deed == "freeze":
            log.info("Frozen %s (%s) for %.1f s", name, system.freeze(name), plan.lasting)
            await asyncio.sleep(plan.lasting)
            system.thaw()
        else:
            await asyncio.sleep(plan.lasting)
            await self._end_faults()
        for blow in self.blows:
            blow.end()
        if anyway is not None:
            anyway.cancel()

    async def _switch_soon(self, target: str) -> str | None:
        await asyncio.sleep(0.3)
        log.info("A switch to %s is asked for meanwhile", target)
        return await self.admin.switch(target)

    def _victim(self) -> str:
        """The name of the process that it hits."""
        victim = self.plan.victim
        if victim == "sandbox":
            names = list(self.system.tabbies)
            switched = self.system.database.switching() if self.plan.of_owner else ""
            return switched or names[int(self.plan.draw * len(names))]
        if victim not in ("web", "worker"):
            return victim
        name = self.dice.choice((victim, f"{victim}-2"))
        owner = None
        if victim == "worker" and self.plan.of_owner:
            database = self.system.database
            owner = database.carries(self.added) if self.plan.step == "idle" else database.owner()
        carrying = [each for each, pid in self.system.children().items() if pid == owner]
        return carrying[0] if carrying else name

    # What has to be right again -----------------------------------------------------------------------------------------

    async def _converge(self, back: float) -> tuple[float | None, list[str]]:
        """Wait until everything is right, and stays so; return the seconds that it took, or None and what is wrong."""
        right_at: float | None = None
        shown: list[str] = []
        while True:
            complaints = await self._complaints()
            now = time.monotonic()
            if complaints != shown:
                log.info("%.1f s: %s wrong: %s", now - back, len(complaints), "; ".join(complaints[:6]))
                shown = complaints
            if complaints:
                right_at = None
            elif right_at is None:
                right_at = now
            elif now - right_at >= STAYS_RIGHT:
                return round(right_at - back, 2), []
            if now - back > GIVEN_UP:
                return None, complaints
            await asyncio.sleep(POLL)

    async def _complaints(self) -> list[str]:
        """All that is not as it has to be, in words; [] when everything is right."""
        try:
            if (
                self.plan.deed == "hang"
            ):  # also for loads that had taken the fault and stood in line when it ended
                await self._end_faults()
            facts = await asyncio.to_thread(self.system.database.facts, self.after)
            states = {name: await self.system.ask_sandbox(name, "state") for name in self.system.tabbies}
        except (psycopg.Error, aiohttp.ClientError, OSError, TimeoutError) as error:
            return [f"cannot be checked: {error!r}"]
        sent = {each: words for page in self.pages for each, words in page.sent.items()}
        self.verdict = verdict = judge(sent, facts.messages)
        complaints = [*verdict.lost, *verdict.doubled, *verdict.wrong, *verdict.open]
        complaints += [*facts.running, *facts.leases, *facts.calls, *facts.overlaps]
        complaints += backend_complaints(facts, states)
        complaints += judge_calls(self._calls(), self.blows)
        state, why = facts.downloads.get(self.added, ("missing", ""))
        if state != "done" and not (state == "failed" and self.plan.victim == "sandbox"):
            complaints.append(f"the download into {self.added} is {state} {why}".rstrip())
        for page in (*self.pages, *self.tabs):
            complaints += page_complaints(page, facts)
        for page in self._all_pages():
            complaints += view_complaints(page, facts)
        empty = [
            seen.name
            for seen, state in zip(facts.servers, states.values(), strict=False)
            if not state["loaded"] and not seen.model and seen.reachable
        ]
        if empty and not facts.running:
            await self._heal(empty)
        return complaints

    async def _heal(self, empty: list[str]) -> None:
        """With nothing loaded on these servers, and everybody told so, the administrator loads a model."""
        if time.monotonic() - self.healed > 2 and not any(
            page.backend.get("switch") for page in self.admin.pages
        ):
            self.healed = time.monotonic()
            target = self._other({})
            log.info(
                "Nothing is loaded%s: the administrator asks for %s",
                f" on {empty}" if any(empty) else "",
                target,
            )
            with suppress(TimeoutError):
                await self.admin.switch(target, list(filter(None, empty)))

    def _result(self, seconds: float | None, complaints: list[str]) -> Result:
        verdict, calls = self.verdict, self._calls()
        for page in self.pages:
            complaints += [f"a frame was refused: {each}" for each in page.refused]
        for error in sorted(
            {*verdict.errors, *(f"{call.name}: {call.error}, {call.said}" for call in calls if call.error)}
        ):
            log.info("What failed says: %s", error)
        return Result(
            plan=self.plan,
            seconds=seconds,
            sent=sum(len(page.sent) for page in self.pages),
            continued=verdict.continued,
            compared=verdict.compared,
            failed=verdict.failed,
            calls=len(calls),
            joined=sum(len(call.models) > 1 and not call.error for call in calls),
            cut=sum(bool(call.error) for call in calls),
            lost=verdict.lost,
            doubled=verdict.doubled,
            complaints=complaints,
            met=self.met,
        )
