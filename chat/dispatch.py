"""Which queued reply runs next, in which web process, and what becomes of it.

Each web process has one Dispatcher. It claims replies when one is asked for here, when the gate opens, and once a second; it
keeps the leases of its replies alive, saves their growth, and takes over the replies of processes that have died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

import orjson
from django.db import DatabaseError

from chat import claims, queue, wire
from chat.models import Message, Status
from chat.relay import EndReason, LiveReply
from chat.rooms import rooms
from models_admin import counters, db_threads, events, process
from models_admin.automation import upkeep
from models_admin.live.hub import hub
from models_admin.presentation import snapshots
from models_admin.switching import gate
from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.errors import (
    Busy,
    NotLoaded,
    Stalled,
    StreamCut,
    StreamError,
    TabbyError,
    TimedOut,
    Unreachable,
)

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

TICK_SECONDS = 1.0
BATCH = 16  # replies claimed in one transaction
REVIVE_EVERY = 2  # ticks
# After these, TabbyAPI is asked what is loaded: the model may have gone.
SUSPICIOUS = (Unreachable, NotLoaded, Busy, StreamCut, StreamError, Stalled, TimedOut)
# These say nothing about the reply itself: it is gone on with, and only given up after several.
PASSING = (Unreachable, NotLoaded, Busy, StreamCut, TimedOut)


REFUSED = "The database does not take this reply. The server's log says why; try again."


class Dispatcher:
    """This process' share of the queue."""

    def __init__(self) -> None:
        self.lives: dict[int, LiveReply] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._started = self._stopping = self._claiming = False
        self._tabby: AsyncTabby | None = None
        self._looking: asyncio.Task[bool] | None = None
        self._ticks = 0
        self._strays: set[int] = set()

    def start(self) -> None:
        """Begin, in the running loop; a second call does nothing."""
        if self._started:
            return
        self._started = True
        self._tabby = AsyncTabby.from_settings()
        hub.handlers |= {
            "let_go": lambda event: self._wake_tick(),
            "room": self._hear_room,
            "stop": self._hear_stop,
            "watching": self._hear_watching,
        }
        hub.listeners.append(self._hear_snapshot)
        self._spawn(self._claim_for_ever())
        self._spawn(self._tick_for_ever())

    async def stop(self) -> None:
        """Put all replies back for other processes, and end."""
        self._stopping = True
        while self.lives or self._claiming:
            for live in list(self.lives.values()):
                live.end(EndReason.LET_GO)
            await asyncio.sleep(0.02)
        if self._tabby is not None:
            await self._tabby.aclose()

    def hello(self, told: dict[str, Any], backend: dict[str, Any]) -> dict[str, Any]:
        """The `hello` event from wire.hello(), with what has come since of the replies that stream here."""
        shown = [
            live.snapshot() if (live := self.lives.get(each["id"])) else each for each in told["messages"]
        ]
        return {"type": "hello", "backend": backend, **told, "messages": shown}

    def wake(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    def stop_reply(self, message: int) -> bool:
        """Stop a reply if it streams here; whether it does."""
        live = self.lives.get(message)
        if live is not None:
            live.end(EndReason.STOPPED)
        return live is not None

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the dispatcher ended with an error", exc_info=error)

    # Claiming -------------------------------------------------------------------------------------------------------

    async def _claim_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            self._wake.clear()
            self._claiming = True
            try:
                await self._claim()
            except gate.Closed:
                pass
            except DatabaseError as error:
                log.warning("Replies cannot be claimed (%s): trying again", error)
            except Exception:  # whatever it was, later messages must be answered
                log.exception("Replies could not be claimed: trying again")
            finally:
                self._claiming = False

    async def _claim(self) -> None:
        while not self._stopping and await db_threads.read(queue.waiting().exists):
            works = await db_threads.write(claims.claim, process.name(), BATCH)
            for work in works:
                self._begin(work)
            if len(works) < BATCH:
                return

    def _begin(self, work: claims.ClaimedReply) -> None:
        assert self._tabby is not None  # noqa: S101 (set in start)
        if (lost := self.lives.get(work.message)) is not None:
            lost.end(EndReason.LOST)  # its lease ran out while this process was too slow to keep it
        try:
            live = self.lives[work.message] = LiveReply(work, self._tabby)
        except Exception as error:  # noqa: BLE001 (whatever it was, the replies that were claimed with it begin)
            self._spawn(self._refuse(work, error))
            return
        self._spawn(self._carry_out(live))

    async def _carry_out(self, live: LiveReply) -> None:
        work = live.work
        try:
            # The reply may be claimed before its sender's own page has been told of the message: they come in order.
            if work.asked is not None:
                rooms.tell(work.conversation, {"type": "message", "message": work.asked})
            await live.prepare()
            rooms.tell(work.conversation, {"type": "message", "message": live.snapshot()})
            error = await live.run()
            await self._conclude(live, error)
        except Exception as error:  # noqa: BLE001 (it ends in words; as a lease without a reply it would be begun again)
            await self._refuse(work, error)
        finally:
            if self.lives.get(work.message) is live:  # and not a later attempt
                del self.lives[work.message]
        await rooms.show(work.conversation, [work.message])
        self.wake()

    async def _refuse(self, work: claims.ClaimedReply, error: BaseException) -> None:
        """Fail a reply that Gantry cannot carry out, or whose row the database does not take."""
        if isinstance(error, DatabaseError):
            # Its first line only: PostgreSQL repeats the row in the others, and what people write stands in no log.
            log.error("The database does not take reply %s: %s", work.message, str(error).partition("\n")[0])
        else:
            log.error("Reply %s failed inside Gantry", work.message, exc_info=error)
        await _insist(claims.refuse, work, REFUSED if isinstance(error, DatabaseError) else claims.INTERNAL)
        counters.count(f"replies:{Status.FAILED.value}")
        await rooms.show(work.conversation, [work.message])
        self.wake()

    # Ends -----------------------------------------------------------------------------------------------------------

    async def _conclude(self, live: LiveReply, error: BaseException | None) -> None:
        """Write the reply's end, or put it back; a database that is away is tried until it takes it."""
        work = live.work
        if live.verdict is EndReason.LOST:
            return
        if live.verdict is EndReason.LET_GO:
            await self._put_back(live, failed=False)
        elif live.verdict is EndReason.STOPPED:
            await self._end(live, Status.STOPPED)
        elif error is None:
            await self._end(live, Status.COMPLETE)
        elif await self._goes_on(live, error):
            log.info("Reply %s is put back: %s", work.message, error)
        else:
            log.warning("Reply %s failed: %s", work.message, error)
            _explain(live, error)
            await self._end(live, Status.FAILED)

    async def _goes_on(self, live: LiveReply, error: BaseException) -> bool:
        """Whether the reply can be gone on with after `error`; then it is back in the queue."""
        if not isinstance(error, SUSPICIOUS):
            return False
        await self.look()
        snapshot = await db_threads.read(snapshots.current)
        gone = snapshot["state"] != "ready" or snapshot["epoch"] != live.work.epoch
        if not gone and (not isinstance(error, PASSING) or live.work.attempts + 1 >= claims.GIVE_UP_AFTER):
            return False
        await self._put_back(live, failed=not gone)
        return True

    async def _put_back(self, live: LiveReply, *, failed: bool) -> None:
        live.so_far()
        if await _insist(claims.put_back, live.work, live.grown, process.name(), failed=failed):
            counters.count("replies:cut")

    async def _end(self, live: LiveReply, status: Status) -> None:
        await live.render_whole()
        if not await _insist(claims.end, live.work, status, live.finished()):
            return  # another process has taken it over, and counts it
        counters.count(f"replies:{status.value}")
        usage = live.grown.usage or {}
        for kind in ("prompt", "completion"):
            counters.count(f"tokens:{kind}", usage.get(f"{kind}_tokens") or 0)

    async def look(self) -> bool:
        """Ask TabbyAPI what is loaded; many who ask at once share one answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(db_threads.ask(upkeep.look))
        return await asyncio.shield(self._looking)

    # Once a second --------------------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._tick()
            except DatabaseError as error:
                log.warning("Replies cannot be looked after (%s): trying again", error)
            except Exception:  # whatever it was, leases must be kept alive
                log.exception("Replies could not be looked after: trying again")

    async def _tick(self) -> None:
        self._ticks += 1
        await self._look_at_leases()
        await self._save([live for live in self.lives.values() if not live.saved])
        if self._ticks % REVIVE_EVERY == 0:
            await self._revive()
            await self._knock()
            await self._catch_up()
        relayed = {live.work.conversation for live in self.lives.values()}
        self.watch([each for each in rooms.here() if each not in relayed])

    async def _save(self, growing: list[LiveReply]) -> None:
        """Write how far these have grown. One whose row the database does not take ends; the others are saved without it."""
        if not growing:
            return
        try:
            await db_threads.write(claims.save, [(live.work, live.so_far()) for live in growing])
        except Exception as error:
            if db_threads.away(error):
                raise
            if len(growing) == 1:
                growing[0].fail(error)
                return
            for live in growing:
                await self._save([live])

    def _wake_tick(self) -> None:
        self._spawn(self._look_at_leases())

    async def _look_at_leases(self) -> None:
        """Beat for all leases; end the replies whose lease was revoked or lost, or whose reader wants them to stop."""
        if not self.lives:
            return
        lives = list(self.lives.values())
        held = await db_threads.write(gate.touch, process.name())
        await self._give_up_strays(held)
        for live in lives:
            if live.work.lease not in held:
                live.end(EndReason.LOST)
            elif held[live.work.lease]:
                live.end(EndReason.LET_GO)
        for message in await db_threads.read(_to_stop, [live.work.message for live in lives]):
            self.stop_reply(message)

    async def _give_up_strays(self, held: Iterable[int]) -> None:
        """Release leases of replies that ended here in an error of ours: nobody must wait for them, and others may go on.

        They are seen twice first, because one may just have been claimed, or be about to end.
        """
        strays = set(held) - {live.work.lease for live in self.lives.values()}
        if forgotten := strays & self._strays:
            log.warning("%s leases belong to no reply any more: released", len(forgotten))
            await db_threads.write(gate.release, forgotten)
        self._strays = strays - forgotten

    async def _revive(self) -> None:
        revived = await db_threads.write(claims.revive)
        for message, conversation in revived:
            log.warning("Reply %s was left by a process that died: back in the queue", message)
            await rooms.show(conversation, [message])
        if revived:
            self.wake()

    async def _knock(self) -> None:
        """Where replies wait for a TabbyAPI that was out of reach or empty, see whether that has changed."""
        snapshot = await hub.current()
        waits = snapshot["state"] in ("unreachable", "unloaded") and snapshot["switch"] is None
        if waits and await db_threads.read(queue.waiting().exists):
            await self.look()

    async def _catch_up(self) -> None:
        """Show pages the whole conversation where they missed something: they have no place for what hangs behind that."""
        for conversation in await rooms.missed():
            hello = self.hello(await db_threads.read(wire.hello, conversation), hub.public)
            rooms.tell_here(conversation, orjson.dumps(hello).decode())

    # What is heard --------------------------------------------------------------------------------------------------

    def _hear_snapshot(self, snapshot: dict[str, Any]) -> None:
        """A model that changed under a running reply has left its stream hanging; an open gate lets the queue move."""
        for live in self.lives.values():
            if snapshot["epoch"] > live.work.epoch:
                live.end(EndReason.LET_GO)
        if snapshot["state"] == "ready":
            self.wake()

    def _hear_stop(self, event: dict[str, Any]) -> None:
        self.stop_reply(event["message"])

    def _hear_room(self, event: dict[str, Any]) -> None:
        if event["origin"] != process.name():
            rooms.hear(uuid.UUID(event["conversation"]), event["texts"])

    def watch(self, conversations: list[uuid.UUID], *, again: bool = False) -> None:
        """Tell other processes that pages here look at these; `again` asks for a whole snapshot once more."""
        if conversations:
            names = [str(each) for each in conversations]
            events.send("watching", conversations=names, origin=process.name(), again=again)

    def _hear_watching(self, event: dict[str, Any]) -> None:
        if event["origin"] == process.name():
            return
        fresh = set(rooms.watch(event["conversations"]))
        asked = {uuid.UUID(each) for each in event["conversations"]} if event["again"] else fresh
        for live in self.lives.values():
            if live.work.conversation in asked:
                live.flush_elsewhere()
                rooms.tell(live.work.conversation, {"type": "message", "message": live.snapshot()})


def _to_stop(messages: list[int]) -> list[int]:
    """Those whose reader has asked for that, or whose row is gone: nobody will ever read them."""
    wanted = Message.objects.filter(pk__in=messages, stop_requested=None)
    return list(set(messages).difference(wanted.values_list("pk", flat=True)))


async def _insist(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Write to the database, however long it is away: the reply's text is only here. What it will not take is raised."""
    while True:
        try:
            return await db_threads.write(function, *args, **kwargs)
        except Exception as error:
            if not db_threads.away(error):
                raise
            log.warning("A reply's end cannot be written (%s): trying again", error)
            await asyncio.sleep(TICK_SECONDS)


def _explain(live: LiveReply, error: BaseException) -> None:
    """Write into the reply why it failed, in words for its reader."""
    if isinstance(error, TabbyError):
        live.grown.error, live.grown.error_kind = f"{error} {error.advice}", error.kind
    else:
        log.error("A reply failed inside Gantry", exc_info=error)
        live.grown.error = claims.INTERNAL
        live.grown.error_kind = "internal"


dispatcher = Dispatcher()
