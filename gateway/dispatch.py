"""The calls of this process: they come, wait for their turn, and go.

What comes and goes while the database is written waits, and is then written together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import DatabaseError

from gateway import claims
from gateway.calls import LiveCall, Roster
from gateway.claims import Left
from gateway.errors import LIMITED, Refused, unavailable
from gateway.keeper import Keeper
from gateway.limits import Arrival, Over
from gateway.models import Outcome
from gateway.retries import Retries
from models_admin import counters, db_threads, process
from models_admin.automation.stalls import Stalls
from models_admin.background import Background
from models_admin.live.hub import hub
from models_admin.page_schema import Backend
from models_admin.presentation import team_snapshots
from models_admin.servers.clients import Clients

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RETRY_SECONDS = 1.0
MOST_REMEMBERED = 10_000  # tokens
LAST_SECONDS = 2.0  # in which ends are written
Coming = tuple[Arrival, asyncio.Future[int | Over]]  # a call that is to be written, and who waits for that


class Dispatcher:
    """This process' calls."""

    def __init__(self) -> None:
        self.closing = False
        self._entering = 0  # calls that come and are just being written
        self.roster = Roster(f"{process.name()}/v1")  # apart from the chat's leases
        self._started = False
        self.answered_last: dict[int, int] = {}  # by token, the server that has its last prompt in the cache
        self.clients = Clients()
        stalls = Stalls(self.clients)
        self.retries = Retries(stalls)
        self._background = Background()
        self._keeper = Keeper(self.roster, self.retries, stalls, self._background)

    def start(self) -> None:
        """Begin, in the running loop; a second call does nothing."""
        if self._started:
            return
        self._started = True
        hub.hear("let_go", lambda event: self._background.spawn(self._keeper.look_at_leases()))
        hub.listeners.append(self._hear_snapshot)
        self._background.spawn(self._write_for_ever())
        self._background.spawn(self._keeper.tick_for_ever())

    async def drain(self) -> None:
        """Take no more calls; give those that are open DRAIN_TIMEOUT to end."""
        self.closing = True
        now = asyncio.get_running_loop().time
        end = now() + settings.DRAIN_TIMEOUT
        while (self.roster.calls or self.roster.leaving) and now() < end + LAST_SECONDS:
            if now() >= end:
                for call in self.roster.calls.values():
                    call.end(_restarting())
            await asyncio.sleep(0.02)
        await self.clients.aclose()

    # Coming and going -----------------------------------------------------------------------------------------------

    async def enter(self, arrival: Arrival) -> LiveCall:
        """Write down a call that comes; it may have its turn at once. Raises Refused where a limit is reached."""
        if self.closing:
            raise _restarting()
        if (
            len(self.roster.calls) + len(self.roster.arriving) + self._entering
            >= settings.GATEWAY_CALLS_AT_ONCE
        ):
            raise Refused(
                429,
                "too_many_calls",
                "Too many calls wait here already. Try again when some of them have been answered.",
                kind=LIMITED,
                retry_after=5,
            )
        written: asyncio.Future[int | Over] = asyncio.get_running_loop().create_future()
        self.roster.arriving.append((arrival, written))
        self.roster.wake.set()
        try:
            number = await written
        except asyncio.CancelledError:
            if written.done() and not written.cancelled() and isinstance(known_as := written.result(), int):
                self.end(self.roster.calls[known_as], Outcome.GONE)
            raise
        if isinstance(number, Over):
            raise Refused(
                429,
                "rate_limit_exceeded",
                f"{number.words}. Try again {number.when}.",
                kind=LIMITED,
                retry_after=number.seconds or 1,
            )
        return self.roster.calls[number]

    def end(self, call: LiveCall, outcome: Outcome) -> None:
        """End a call: it is written down soon, however long the database is away."""
        if self.roster.calls.pop(call.number, None) is not None:
            self.roster.leave(call.left(outcome.value))

    def put_back(self, call: LiveCall, pause: float = 0.0) -> None:
        """Have the call wait for another turn."""
        if self.roster.calls.get(call.number) is call:
            self.roster.leave(call.left(pause=pause))

    async def _write_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.roster.wake.wait(), TICK_SECONDS)
            self.roster.wake.clear()
            try:
                await self.write()
            except DatabaseError as error:
                log.warning("Calls cannot be written (%s): trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
                self.roster.wake.set()
            except Exception:  # whatever it was, later calls must be answered
                log.exception("Calls could not be written: trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def write(self) -> None:
        """Write down what has come and gone, and begin calls that may."""
        self.roster.writing = True
        try:
            await self._write()
        finally:
            self.roster.writing = False

    async def _write(self) -> None:
        leaving, self.roster.leaving = self.roster.leaving, []
        if leaving:
            try:
                await db_threads.write(claims.leave, leaving)
            except BaseException:
                self.roster.leaving = leaving + self.roster.leaving
                raise
        arriving, self.roster.arriving = self.roster.arriving, []
        if not arriving and not await self._may_begin():
            return
        self._entering = len(arriving)
        try:
            await self._admit(arriving)
        except Exception as error:
            if db_threads.away(error) or not arriving:
                _refuse(arriving, error)
                raise
            log.warning("%s calls could not be written: %s", len(arriving), str(error).partition("\n")[0])
            await self._admit_one_by_one(arriving, error)
        except BaseException as error:
            _refuse(arriving, error)
            raise
        finally:
            self._entering = 0

    async def _admit(self, arriving: Sequence[Coming]) -> None:
        """Write down what has come, all together, and begin what may; raises what refused it."""
        if not self.roster.registered:
            await db_threads.write(claims.beat, self.roster.holder)
            self.roster.registered = True
        arrivals = [arrival for arrival, _ in arriving]
        numbers, turns = await db_threads.write(
            claims.admit, self.roster.holder, arrivals, self.roster.arrival
        )
        self._welcome(arriving, numbers)
        for number, turn in turns.items():
            if (call := self.roster.calls.get(number)) is not None:
                call.begin(turn)
                if len(self.answered_last) >= MOST_REMEMBERED:
                    self.answered_last.clear()
                self.answered_last[call.arrival.token] = turn.server
                counters.CLAIM_WAIT.observe(turn.waited)
            else:  # it ended while it was begun
                self.roster.leave(Left(number, turn.lease, Outcome.GONE.value))

    async def _admit_one_by_one(self, arriving: Sequence[Coming], error: Exception) -> None:
        """Write down each by itself, which shows whose fault `error` was, as long as the database answers."""
        if len(arriving) == 1:
            _refuse(arriving, error)
            return
        for number, each in enumerate(arriving):
            self._entering = len(arriving) - number
            try:
                await self._admit([each])
            except Exception as own:
                _refuse([each], own)
                if db_threads.away(own):
                    _refuse(arriving[number:], own)
                    raise

    def _welcome(self, arriving: Sequence[Coming], numbers: Sequence[int | Over]) -> None:
        """Tell those who wait for it what has become of their calls."""
        for (arrival, written), number in zip(arriving, numbers, strict=True):
            if written.done():  # the caller has gone meanwhile
                if isinstance(number, int):
                    self.roster.leave(Left(number, None, Outcome.GONE.value))
                continue
            if isinstance(number, int):
                self.roster.calls[number] = LiveCall(number, arrival)
            written.set_result(number)

    async def _may_begin(self) -> bool:
        """Return whether a look at the line is worth the lock that it takes."""
        waits = any(call.waits for call in self.roster.calls.values())
        return waits and (await hub.current())["state"] == "ready"

    # What is heard --------------------------------------------------------------------------------------------------

    def _hear_snapshot(self, snapshot: Backend) -> None:
        """Let go of calls whose model has changed under them, which hang; look at the line where the gate is open."""
        epochs = team_snapshots.epochs(snapshot)
        for call in self.roster.calls.values():
            if call.turn is not None and epochs.get(call.turn.server, 0) > call.turn.epoch:
                call.let_go()
        if snapshot["state"] == "ready":
            self.roster.wake.set()


def _refuse(arriving: Sequence[Coming], error: BaseException) -> None:
    """Tell those who still wait for it that their calls were not written down."""
    for _, written in arriving:
        if not written.done():
            written.set_exception(_not_now(error))


def _not_now(error: BaseException) -> BaseException:
    if isinstance(error, DatabaseError):
        return unavailable("Gantry's database does not answer. Try again.", 5, "database_unavailable")
    return error


def _restarting() -> Refused:
    refusal = unavailable("Gantry is restarting. Try again.", 1, "restarting")
    refusal.headers["connection"] = "close"  # also where the request had come before
    return refusal


dispatcher = Dispatcher()
