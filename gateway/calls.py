"""A call as its process has it: its turn, and what ends that early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from gateway.claims import Left, Turn
from gateway.limits import Arrival, Over
from gateway.models import Outcome
from models_admin.models import UsageOutcome
from models_admin.usage.meter import Meter
from models_admin.usage.recording import ReplyUsage

T = TypeVar("T")
ENDINGS: dict[str, UsageOutcome] = {
    Outcome.DONE: UsageOutcome.COMPLETE,
    Outcome.GONE: UsageOutcome.STOPPED,
}  # all others have failed


class LetGo(Exception):
    """A switch needs the model, the model has gone, or the lease has: the turn is over."""


class LiveCall:
    """One call, whose request is answered by the task that made this."""

    def __init__(self, number: int, arrival: Arrival) -> None:
        self.number = number
        self.arrival = arrival
        self.turn: Turn | None = None
        self.attempts = 0  # that failed; being cut by a switch is no failure
        self.meter = Meter()
        self.model = ""  # the last one that it had a turn with
        self.taken_over = False  # another one was asked before
        self._woken = asyncio.Event()
        self._reading: asyncio.Task[object] | None = None
        self._over: Exception | None = None

    @property
    def waits(self) -> bool:
        """Whether it has no turn and needs one."""
        return self.turn is None and not self.arrival.aside

    def begin(self, turn: Turn) -> None:
        """Give the call its turn."""
        self.taken_over = self.taken_over or (self.meter.begun and self.model != turn.model)
        self.turn, self.model = turn, turn.model
        self.arrival = replace(self.arrival, near=turn.server)
        if isinstance(self._over, LetGo):
            self._over = None
        self._woken.set()

    async def begun(self) -> Turn:
        """Wait for the turn. Raises what end() was given."""
        while self.turn is None:
            if self._over is not None and not isinstance(self._over, LetGo):
                raise self._over
            self._woken.clear()
            await self._woken.wait()
        return self.turn

    def let_go(self) -> None:
        """End the turn, if it has one: read() raises LetGo, now or when it is next called. What is being sent is sent."""
        if self.turn is not None:
            self.end(LetGo())

    def end(self, why: Exception) -> None:
        """Have begun() or read() raise this; the first reason stays, but for a turn that is over."""
        if self._over is None or (isinstance(self._over, LetGo) and not isinstance(why, LetGo)):
            self._over = why
            self._woken.set()
            if self._reading is not None:
                self._reading.cancel()

    async def read(self, step: Callable[[], Awaitable[T]]) -> T:
        """Wait for something that TabbyAPI brings. Raises LetGo when the turn is over."""
        if self._over is not None:
            raise self._over
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine runs in one)
        before = task.cancelling()
        self._reading = task
        try:
            return await step()
        except asyncio.CancelledError:
            if self._over is not None and task.uncancel() <= before:
                raise self._over from None
            raise
        finally:
            self._reading = None

    def left(self, outcome: str = "", pause: float = 0.0) -> Left:
        """Take the turn away; return how it leaves: for good with an outcome, else to wait again."""
        turn, self.turn = self.turn, None
        return Left(self.number, turn.lease if turn else None, outcome, pause, self._usage(outcome))

    def _usage(self, outcome: str) -> ReplyUsage | None:
        """Return what it has taken; None where TabbyAPI was never asked."""
        if not self.meter.begun:
            return None
        by, ending = self.arrival, ENDINGS.get(outcome, UsageOutcome.FAILED)
        person, took = 0 if by.spoken_for else by.person, self.meter.read()
        return ReplyUsage(
            *(person, by.token, self.model, by.endpoint, ending, took),
            name=by.spoken_for,
            reason=outcome if ending == UsageOutcome.FAILED else "",
            taken_over=self.taken_over,
        )


class Roster:
    """The calls of this process, and what waits to be written of them; `holder` is its name in rows and leases."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.calls: dict[int, LiveCall] = {}
        self.arriving: list[tuple[Arrival, asyncio.Future[int | Over]]] = []
        self.leaving: list[Left] = []
        self.writing = False  # some of both are in hand
        self.registered = False  # it shows that it lives
        self.wake = asyncio.Event()  # there is something to write, or a turn to be had

    def arrival(self, number: int) -> Arrival | None:
        """Return how a call came, in any thread; None where it has ended."""
        call = self.calls.get(number)
        return call.arrival if call is not None else None

    def leave(self, left: Left) -> None:
        """Have it written that a call has ended, or waits again."""
        self.leaving.append(left)
        self.wake.set()
