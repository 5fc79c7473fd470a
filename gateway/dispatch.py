"""The calls of this process: they come, wait for their turn, and go.

What comes and goes while the database is written waits, and is then written together. One heartbeat keeps all leases alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from gateway import claims
from gateway.calls import LiveCall
from gateway.claims import Arrival, Left, Over
from gateway.errors import LIMITED, Refused, unavailable
from gateway.models import Outcome
from gateway.retries import Retries
from models_admin import db_threads, process
from models_admin.live.hub import hub
from models_admin.page_schema import Backend
from models_admin.servers import connections, known
from models_admin.tabby.aclient import AsyncTabby

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RETRY_SECONDS = 1.0
LAST_SECONDS = 2.0  # in which ends are written
SWEEP_EVERY = 2  # ticks
FORGET_EVERY = 60


class Dispatcher:
    """This process' calls."""

    def __init__(self) -> None:
        self.calls: dict[int, LiveCall] = {}
        self.closing = False
        self._holder = f"{process.name()}/v1"  # apart from the chat's leases
        self._tabby: AsyncTabby | None = None
        self._arriving: list[tuple[Arrival, asyncio.Future[int | Over]]] = []
        self._leaving: list[Left] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.retries = Retries()
        self._ticks = 0
        self._registered = False
        self._suspects: set[str] = set()

    def start(self) -> None:
        """Begin, in the running loop; a second call does nothing."""
        if self._tabby is not None:
            return
        self._tabby = connections.async_client(known.default())
        hub.hear("let_go", lambda event: self._spawn(self._look_at_leases()))
        hub.listeners.append(self._hear_snapshot)
        self._spawn(self._write_for_ever())
        self._spawn(self._tick_for_ever())

    @property
    def tabby(self) -> AsyncTabby:
        """TabbyAPI; start() has been called."""
        assert self._tabby is not None  # noqa: S101
        return self._tabby

    async def drain(self) -> None:
        """Take no more calls; give those that are open DRAIN_TIMEOUT to end."""
        self.closing = True
        now = asyncio.get_running_loop().time
        end = now() + settings.DRAIN_TIMEOUT
        while (self.calls or self._leaving) and now() < end + LAST_SECONDS:
            if now() >= end:
                for call in self.calls.values():
                    call.end(_restarting())
            await asyncio.sleep(0.02)
        if self._tabby is not None:
            await self._tabby.aclose()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the gateway ended with an error", exc_info=error)

    # Coming and going -----------------------------------------------------------------------------------------------

    async def enter(self, arrival: Arrival) -> LiveCall:
        """Write down a call that comes; it may have its turn at once. Raises Refused where a limit is reached."""
        if self.closing:
            raise _restarting()
        if len(self.calls) + len(self._arriving) >= settings.GATEWAY_CALLS_AT_ONCE:
            raise Refused(
                429,
                "too_many_calls",
                "Too many calls wait here already. Try again when some of them have been answered.",
                kind=LIMITED,
                retry_after=5,
            )
        written: asyncio.Future[int | Over] = asyncio.get_running_loop().create_future()
        self._arriving.append((arrival, written))
        self._wake.set()
        try:
            number = await written
        except asyncio.CancelledError:
            if written.done() and not written.cancelled() and isinstance(known_as := written.result(), int):
                self.end(self.calls[known_as], Outcome.GONE)
            raise
        if isinstance(number, Over):
            raise Refused(
                429,
                "rate_limit_exceeded",
                f"This token is at its limit: {number.words}. Try again "
                + (f"in {number.seconds:.0f} s." if number.seconds else "when one of them has ended."),
                kind=LIMITED,
                retry_after=number.seconds or 1,
            )
        return self.calls[number]

    def end(self, call: LiveCall, outcome: Outcome) -> None:
        """End a call: it is written down soon, however long the database is away."""
        if self.calls.pop(call.number, None) is not None:
            self._leave(call.left(outcome.value))

    def put_back(self, call: LiveCall, pause: float = 0.0) -> None:
        """Have the call wait for another turn."""
        if self.calls.get(call.number) is call:
            self._leave(call.left(pause=pause))

    def _leave(self, left: Left) -> None:
        self._leaving.append(left)
        self._wake.set()

    async def _write_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            self._wake.clear()
            try:
                await self._write()
            except DatabaseError as error:
                log.warning("Calls cannot be written (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
            except Exception:  # whatever it was, later calls must be answered
                log.exception("Calls could not be written: trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _write(self) -> None:
        leaving, self._leaving = self._leaving, []
        if leaving:
            try:
                await db_threads.write(claims.leave, leaving)
            except BaseException:
                self._leaving = leaving + self._leaving
                raise
        arriving, self._arriving = self._arriving, []
        if not arriving and not await self._may_begin():
            return
        try:
            if not self._registered:
                await db_threads.write(claims.beat, self._holder)
                self._registered = True
            arrivals = [arrival for arrival, _ in arriving]
            numbers, turns = await db_threads.write(claims.admit, self._holder, arrivals)
        except BaseException as error:
            for _, written in arriving:
                if not written.done():
                    written.set_exception(_not_now(error))
            raise
        self._welcome(arriving, numbers)
        for number, turn in turns.items():
            if (call := self.calls.get(number)) is not None:
                call.begin(turn)
            else:  # it ended while it was begun
                self._leave(Left(number, turn.lease, Outcome.GONE.value))

    def _welcome(
        self, arriving: list[tuple[Arrival, asyncio.Future[int | Over]]], numbers: list[int | Over]
    ) -> None:
        """Tell those who wait for it what has become of their calls."""
        for (arrival, written), number in zip(arriving, numbers, strict=True):
            if written.done():  # the caller has gone meanwhile
                if isinstance(number, int):
                    self._leave(Left(number, None, Outcome.GONE.value))
                continue
            if isinstance(number, int):
                self.calls[number] = LiveCall(number, arrival)
            written.set_result(number)

    async def _may_begin(self) -> bool:
        """Return whether a look at the line is worth the lock that it takes."""
        waits = any(call.waits for call in self.calls.values())
        return waits and (await hub.current())["state"] == "ready"

    # Once a second --------------------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
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
        await self._look_at_leases()
        if self._ticks % SWEEP_EVERY == 0:
            await self._sweep()
            await self._knock()
        if self._ticks % FORGET_EVERY == 0:
            await db_threads.write(claims.forget)

    async def _look_at_leases(self) -> None:
        """Beat for all calls; end the turns whose lease was revoked or lost."""
        if not self._registered:
            return
        calls = list(self.calls.values())
        turns = {call.number: call.turn for call in calls}
        held, still = await db_threads.write(claims.beat, self._holder)
        for call in calls:
            turn = turns[call.number]
            listed = call.number in still
            if call.turn is not turn or self.calls.get(call.number) is not call:
                continue
            if turn is not None and (held.get(turn.lease, True) or not listed):
                call.let_go()
            elif turn is None and not listed:
                await self._again(call)

    async def _again(self, call: LiveCall) -> None:
        """Put a call back into the line, from which it was taken because this process seemed dead."""
        log.warning("Call %s had been taken out of the line: it waits again", call.number)
        number = await db_threads.write(claims.again, self._holder, call.number, call.arrival)
        if self.calls.pop(call.number, None) is not None:
            call.number = number
            self.calls[number] = call
        else:
            self._leave(Left(number, None, Outcome.GONE.value))
        self._wake.set()

    async def _sweep(self) -> None:
        """Take the calls of dead processes out of the line: of those that have been dead at the last look, too."""
        dead = await db_threads.read(claims.dead)
        if buried := dead & self._suspects:
            ended = await db_threads.write(claims.bury, buried)
            log.warning("%s calls were left by processes that died", ended)
            self._wake.set()
        self._suspects = dead

    async def _knock(self) -> None:
        """See whether a TabbyAPI that is out of reach or empty has changed, where calls wait for it."""
        snapshot = await hub.current()
        waits = snapshot["state"] in ("unreachable", "unloaded") and snapshot["switch"] is None
        if waits and any(call.waits for call in self.calls.values()):
            await self.retries.look()

    # What is heard --------------------------------------------------------------------------------------------------

    def _hear_snapshot(self, snapshot: Backend) -> None:
        """Let go of calls whose model has changed under them, which hang; look at the line where the gate is open."""
        for call in self.calls.values():
            if call.turn is not None and snapshot["epoch"] > call.turn.epoch:
                call.let_go()
        if snapshot["state"] == "ready":
            self._wake.set()


def _not_now(error: BaseException) -> BaseException:
    if isinstance(error, DatabaseError):
        return unavailable("Gantry's database does not answer. Try again.", 5, "database_unavailable")
    return error


def _restarting() -> Refused:
    return unavailable("Gantry is restarting. Try again.", 1, "restarting")


dispatcher = Dispatcher()
