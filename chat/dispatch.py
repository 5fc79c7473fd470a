"""Which queued reply runs next, in which web process.

Each web process has one Dispatcher. It claims replies when one is asked for here, when the gate opens, and now and then; it
keeps the leases of its replies alive, saves their growth, and takes over the replies of processes that have died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.db import DatabaseError

from chat import claims, comparing, progress, queue, wire
from chat.elsewhere import elsewhere
from chat.page_schema import Branch, ChatHello
from chat.progress import ClaimedReply
from chat.relay import EndReason, LiveReply
from chat.reply_ends import ReplyEnds
from chat.rooms import rooms
from models_admin import counters, db_threads, events, process
from models_admin.background import Background
from models_admin.live.hub import hub
from models_admin.page_schema import Backend
from models_admin.presentation import team_snapshots
from models_admin.servers.clients import Clients
from models_admin.switching import gate
from models_admin.usage.meter import Meter

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
FEWEST, MOST = 32, 128  # replies claimed in one transaction: few at first, because these begin soon
IDLE_SECONDS = 2.0  # after which it is looked whether anything waits, where nothing did
REVIVE_EVERY = 2  # ticks
REPEAT_EVERY = 5  # ticks, for what is needed only where an event was lost


class Dispatcher:
    """This process' share of the queue."""

    def __init__(self) -> None:
        self.lives: dict[int, LiveReply] = {}
        self._wake = asyncio.Event()
        self._background = Background()
        self._started = self._stopping = False
        self._claiming = 0
        self._clients = Clients()
        self._ends = ReplyEnds(self._clients)
        self._ticks = 0
        self._strays: set[int] = set()
        self._heard = False

    def start(self) -> None:
        """Begin, in the running loop; a second call does nothing."""
        if self._started:
            return
        self._started = True
        hub.hear("let_go", lambda event: self._background.spawn(self._look_at_leases()))
        hub.hear("rooms", self._hear_rooms)
        hub.hear("stop", lambda event: self.stop_reply(event["message"]))
        hub.hear("watching", self._hear_watching)
        hub.listeners.append(self._hear_snapshot)
        self._background.spawn(self._claim_for_ever())
        self._background.spawn(self._tick_for_ever())

    async def stop(self) -> None:
        """Put all replies back for other processes, and end."""
        self._stopping = True
        while self.lives or self._claiming:
            for live in list(self.lives.values()):
                live.end(EndReason.LET_GO)
            await asyncio.sleep(0.02)
        elsewhere.flush()
        await self._clients.aclose()

    def hello(self, told: Branch, backend: Backend) -> ChatHello:
        """The `hello` event from wire.branch(), with what has come since of the replies that stream here."""
        shown = [
            live.snapshot() if (live := self.lives.get(each["id"])) else each for each in told["messages"]
        ]
        return {
            "type": "hello",
            "backend": backend,
            "conversation": told["conversation"],
            "messages": shown,
            "earlier": told["earlier"],
        }

    @contextlib.contextmanager
    def claiming(self) -> Iterator[bool]:
        """Keep this process from ending before what is claimed within has begun; whether anything may be claimed."""
        self._claiming += 1
        try:
            yield self._started and not self._stopping
        finally:
            self._claiming -= 1

    def wake(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    def stop_reply(self, message: int) -> bool:
        """Stop a reply if it streams here; whether it does."""
        live = self.lives.get(message)
        if live is not None:
            live.end(EndReason.STOPPED)
        return live is not None

    # Claiming -------------------------------------------------------------------------------------------------------

    async def _claim_for_ever(self) -> None:
        pause = TICK_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()
            pause = TICK_SECONDS
            try:
                with self.claiming():
                    if not await self._claim():
                        pause = IDLE_SECONDS
            except gate.Closed:
                pass
            except DatabaseError as error:
                log.warning("Replies cannot be claimed (%s): trying again", error)
            except Exception:  # whatever it was, later messages must be answered
                log.exception("Replies could not be claimed: trying again")

    async def _claim(self) -> bool:
        """Claim what may start, where anything waits; return whether anything did."""
        full = waits = await db_threads.read(queue.waiting().exists)
        room = FEWEST
        while full and not self._stopping:
            works = await db_threads.write(claims.claim, process.name(), room)
            for work in works:
                self.begin(work)
            full, room = len(works) == room, min(2 * room, MOST)
        return waits

    async def _bring_in_line(self) -> None:
        """Queue comparisons for which another model is ready."""
        for message, conversation in await db_threads.write(comparing.bring_in_line):
            await rooms.show(conversation, [message])
            self.wake()

    def begin(self, work: ClaimedReply) -> None:
        """Generate a claimed reply."""
        if (lost := self.lives.get(work.message)) is not None:
            lost.end(EndReason.LOST)  # its lease ran out while this process was too slow to keep it
        try:
            live = self.lives[work.message] = LiveReply(work, self._clients.of(work.server))
            counters.CLAIM_WAIT.observe(work.waited)
        except Exception as error:  # noqa: BLE001 (whatever it was, the replies that were claimed with it begin)
            self._background.spawn(self._show_end(work, error))
            return
        self._background.spawn(self._carry_out(live))

    async def _carry_out(self, live: LiveReply) -> None:
        work = live.work
        try:
            # The reply may be claimed before its sender's own page has been told of the message: they come in order.
            if work.asked is not None:
                rooms.tell(work.conversation, {"type": "message", "message": work.asked})
            await live.prepare()
            rooms.tell(work.conversation, {"type": "message", "message": live.snapshot()})
            error = await live.run()
            await self._ends.conclude(live, error)
        except Exception as error:  # noqa: BLE001 (it ends in words; as a lease without a reply it would be begun again)
            await self._ends.refuse(work, error, live.meter)
        finally:
            if self.lives.get(work.message) is live:  # and not a later attempt
                del self.lives[work.message]
        await self._show_end(work)

    async def _show_end(self, work: ClaimedReply, refused: BaseException | None = None) -> None:
        """Show what has become of a reply, which fails if it was refused here; another one may have its place."""
        if refused is not None:
            await self._ends.refuse(work, refused, Meter(work.spent))
        await rooms.show(work.conversation, [work.message])
        self.wake()

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
        self._background.spawn(self._ends.leave_stalled(list(self.lives.values())))
        await self._look_at_leases()
        await self._save([live for live in self.lives.values() if not live.saved])
        if self._ticks % REVIVE_EVERY == 0:
            await self._revive()
            await self._knock()
            await self._bring_in_line()
        heard, self._heard = self._heard, hub.hears
        if not (heard and self._heard) or self._ticks % REPEAT_EVERY == 0:
            await self._catch_up()
            relayed = {live.work.conversation for live in self.lives.values()}
            self.watch([each for each in rooms.here() if each not in relayed])

    async def _save(self, growing: list[LiveReply]) -> None:
        """Write how far these have grown. One whose row the database does not take ends; the others are saved without it."""
        if not growing:
            return
        try:
            await db_threads.write(progress.save, [(live.work, live.so_far()) for live in growing])
        except Exception as error:
            if db_threads.away(error):
                raise
            if len(growing) == 1:
                growing[0].fail(error)
                return
            for live in growing:
                await self._save([live])

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
        for message in await db_threads.read(progress.to_stop, [live.work.message for live in lives]):
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
        revived = await db_threads.write(progress.revive)
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
            await self._ends.look_at_all()

    async def _catch_up(self) -> None:
        """Show pages the whole conversation where they missed something: they have no place for what hangs behind that."""
        for conversation in await rooms.missed():
            hello = self.hello(await db_threads.read(wire.branch, conversation), hub.public)
            rooms.tell_here(conversation, orjson.dumps(hello).decode())

    # What is heard --------------------------------------------------------------------------------------------------

    def _hear_snapshot(self, snapshot: Backend) -> None:
        """A model that changed under a running reply has left its stream hanging; an open gate lets the queue move."""
        epochs = team_snapshots.epochs(snapshot)
        for live in self.lives.values():
            if epochs.get(live.work.server, 0) > live.work.epoch:
                live.end(EndReason.LET_GO)
        if snapshot["state"] == "ready":
            self.wake()

    def _hear_rooms(self, event: dict[str, Any]) -> None:
        for conversation, text in zip(event["rooms"], event["texts"], strict=True):
            rooms.hear(uuid.UUID(conversation), text)

    def watch(self, conversations: list[uuid.UUID], *, again: bool = False) -> None:
        """Tell other processes that pages here look at these; `again` asks for a whole snapshot once more."""
        if conversations:
            names = [str(each) for each in conversations]
            events.send_to_others("watching", conversations=names, again=again)

    def _hear_watching(self, event: dict[str, Any]) -> None:
        fresh = set(rooms.watch(event["conversations"]))
        asked = {uuid.UUID(each) for each in event["conversations"]} if event["again"] else fresh
        for live in self.lives.values():
            if live.work.conversation in asked:
                rooms.tell(live.work.conversation, {"type": "message", "message": live.snapshot()})


dispatcher = Dispatcher()
