"""What is done once a second for the calls of a process: one heartbeat for all, and a look at what others left behind."""

from __future__ import annotations

import asyncio
import logging

from django.db import DatabaseError

from gateway import claims
from gateway.calls import LiveCall, Roster
from gateway.claims import Left
from gateway.models import Outcome
from gateway.retries import Retries
from models_admin import db_threads
from models_admin.automation.stalls import Stalls
from models_admin.background import Background
from models_admin.live.hub import hub

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SWEEP_EVERY = 2  # ticks
FORGET_EVERY = 60


class Keeper:
    """Looks after the calls of this process."""

    def __init__(self, roster: Roster, retries: Retries, stalls: Stalls, background: Background) -> None:
        self._roster = roster
        self._retries = retries
        self._stalls = stalls
        self._background = background
        self._ticks = 0
        self._suspects: set[str] = set()
        self._strays: set[Left] = set()

    async def tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._tick()
            except DatabaseError as error:
                log.warning("Calls cannot be looked after (%s): trying again", error)
            except Exception:  # whatever it was, leases must be kept alive
                log.exception("Calls could not be looked after: trying again")

    async def _tick(self) -> None:
        self._ticks += 1
        self._background.spawn(self._leave_stalled())
        await self.look_at_leases()
        if self._ticks % SWEEP_EVERY == 0:
            await self.sweep()
            await self._knock()
        if self._ticks % FORGET_EVERY == 0:
            await db_threads.write(claims.forget)

    async def _leave_stalled(self) -> None:
        """Have what a server writes that has stalled go on at another."""
        calls = self._roster.calls
        writing = [(call.turn.server, call.meter) for call in calls.values() if call.turn is not None]
        stalled = await self._stalls.found(writing)
        for call in calls.values():
            if call.turn is not None and call.turn.server in stalled:
                call.let_go()

    async def look_at_leases(self) -> None:
        """Beat for all calls; end the turns whose lease was revoked or lost."""
        if not self._roster.registered:
            return
        calls = list(self._roster.calls.values())
        turns = {call.number: call.turn for call in calls}
        grown = [(call.number, call.meter.read()) for call in calls if call.turn and call.meter.begun]
        held, still = await db_threads.write(claims.beat, self._roster.holder, grown)
        await self._give_up_strays(set(held), still)
        for call in calls:
            turn = turns[call.number]
            listed = call.number in still
            if call.turn is not turn or self._roster.calls.get(call.number) is not call:
                continue
            if turn is not None and (held.get(turn.lease, True) or not listed):
                call.let_go()
            elif turn is None and not listed:
                await self._again(call)

    async def _give_up_strays(self, held: set[int], still: set[int]) -> None:
        """End rows and leases that belong to no call here, because of an error of ours: nobody must wait for them.

        They are seen twice first, because one may just have begun, or be about to end. Where there is nothing, and no call,
        the process shows no more life: the next call begins with that.
        """
        roster = self._roster
        leases = {call.turn.lease for call in roster.calls.values() if call.turn is not None}
        leases |= {left.lease for left in roster.leaving if left.lease is not None}
        rows = roster.calls.keys() | {left.call for left in roster.leaving}
        strays = {Left(0, lease, Outcome.FAILED.value) for lease in held - leases}
        strays |= {Left(number, None, Outcome.FAILED.value) for number in still - rows}
        forgotten, self._strays = strays & self._strays, strays
        if forgotten:
            log.warning("%s leases and rows belong to no call any more: they are ended", len(forgotten))
            await db_threads.write(claims.leave, forgotten)
        if not (strays or roster.calls or roster.arriving or roster.leaving or roster.writing):
            roster.registered = False
            await db_threads.write(claims.rest, roster.holder)

    async def _again(self, call: LiveCall) -> None:
        """Put a call back into the line, from which it was taken because this process seemed dead."""
        log.warning("Call %s had been taken out of the line: it waits again", call.number)
        number, recorded = await db_threads.write(
            claims.again, self._roster.holder, call.number, call.arrival
        )
        call.meter.forget(*recorded)
        if self._roster.calls.pop(call.number, None) is not None:
            call.number = number
            self._roster.calls[number] = call
        else:
            self._roster.leave(Left(number, None, Outcome.GONE.value))
        self._roster.wake.set()

    async def sweep(self) -> None:
        """Take the calls of dead processes out of the line: of those that have been dead at the last look, too."""
        dead = await db_threads.read(claims.dead)
        if buried := dead & self._suspects:
            ended = await db_threads.write(claims.bury, buried)
            log.warning("%s calls were left by processes that died", ended)
            self._roster.wake.set()
        self._suspects = dead

    async def _knock(self) -> None:
        """See whether a TabbyAPI that is out of reach or empty has changed, where calls wait for it."""
        snapshot = await hub.current()
        waits = snapshot["state"] in ("unreachable", "unloaded") and snapshot["switch"] is None
        if waits and any(call.waits for call in self._roster.calls.values()):
            await self._retries.look_at_all()
