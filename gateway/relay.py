"""A call from its place in the line to its last byte: TabbyAPI's answer to the caller, through any number of switches."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from django.conf import settings

from gateway import models_list, shapes
from gateway.answer import Answer
from gateway.asked import Asked
from gateway.calls import LetGo, LiveCall
from gateway.chunks import Chunks
from gateway.claims import Turn
from gateway.dispatch import Dispatcher
from gateway.errors import OURS, Refused, of_tabby, unavailable
from models_admin import counters
from models_admin.live.hub import hub
from models_admin.page_schema import Backend
from models_admin.tabby.errors import StreamCut, TabbyError
from models_admin.tabby.passage import Passed, tokens_of

log = logging.getLogger(__name__)

EMPTY_SECONDS = 15.0  # for which a call waits where no model is loaded, and no switch brings one


class Relay:
    """One call. `patience` is how long it may wait for its turn, in seconds; 0: not at all."""

    def __init__(
        self, asked: Asked, call: LiveCall, answer: Answer, dispatcher: Dispatcher, patience: float
    ) -> None:
        self._asked = asked
        self._call = call
        self._answer = answer
        self._dispatcher = dispatcher
        self._patience = patience
        self._chunks = Chunks(asked)
        self._accepted = False

    async def run(self) -> None:
        """Answer the call. Raises Refused where that is not possible, or no longer."""
        await self._check_model()
        self._answer.live(self._words, stream=self._asked.stream)
        while True:
            turn = await self._turn()
            try:
                if await self._attempt(turn):
                    return
            except LetGo:
                if bound := self._bound():
                    raise _cut(turn, bound) from None
                self._dispatcher.put_back(self._call)
            except TabbyError as error:
                pause = (
                    None if self._bound() else await self._dispatcher.retries.pause_after(self._call, error)
                )
                if pause is None:
                    raise of_tabby(error) from error
                log.info("Call %s waits again: %s", self._call.number, error)
                self._dispatcher.put_back(self._call, pause)
            self._chunks.next_model()

    # Waiting --------------------------------------------------------------------------------------------------------

    async def _check_model(self) -> None:
        """Refuse a model that is not loaded, where it is known what is, or will be."""
        snapshot = await hub.current()
        names = models_list.served(snapshot)
        if self._asked.model and names and self._asked.model not in names:
            raise models_list.not_loaded(self._asked.model, snapshot, self._asked.alias)
        self._accepted = not self._asked.model or bool(names)

    async def _turn(self) -> Turn:
        turn = await self._waited()
        if not self._accepted and turn.model != self._asked.model:
            raise models_list.not_loaded(self._asked.model, await hub.current(), self._asked.alias)
        self._accepted = True
        return turn

    async def _waited(self) -> Turn:
        """Wait for the turn, as long as the caller will, and as there is something to wait for."""
        if self._call.turn is not None:
            return self._call.turn
        loop = asyncio.get_running_loop()
        begun, empty_since = loop.time(), loop.time()
        while True:
            snapshot = await hub.current()
            now = loop.time()
            if snapshot["state"] != "unloaded" or snapshot["switch"] is not None:
                empty_since = now
            left = min(begun + self._patience - now, empty_since + EMPTY_SECONDS - now)
            if left <= 0 and self._call.turn is None:
                raise self._too_late(snapshot)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self._call.begun(), max(0.0, min(left, 1.0)))

    def _too_late(self, snapshot: Backend) -> Refused:
        """Return a 503 that says what was waited for, and when to try again."""
        switch = snapshot["switch"]
        if switch is not None:
            what = f"changed to {switch['target']}" if switch["target"] else "unloaded"
            return unavailable(
                f"The model is being {what}. Try again.", switch["eta_seconds"] or 5, "model_switching"
            )
        if snapshot["state"] == "ready":
            return unavailable("Others are before you in the line. Try again.", 2, "busy")
        if snapshot["state"] == "unreachable":
            return unavailable("TabbyAPI cannot be reached. Try again.", 10, "unreachable")
        return unavailable("No model is loaded, and none is being loaded.", 30, "no_model_loaded")

    def _words(self) -> str:
        """Return what a sign of life says."""
        if self._call.turn is not None:
            return "working"
        switch = hub.public["switch"]
        if switch is None:
            return "waiting"
        return f"{switch['state'].replace('_', ' ')} {switch['percent']}%"

    # Generating -----------------------------------------------------------------------------------------------------

    async def _attempt(self, turn: Turn) -> bool:
        """Answer with this turn; return whether that is the whole answer."""
        if not self._asked.stream:
            await self._whole(turn)
            return True
        body, prefix = self._asked.to_send(turn.context), ""
        if self._chunks.tokens:
            if self._asked.is_full(self._chunks.tokens):
                await self._answer.end(self._chunks.full())
                return True
            body, prefix = self._asked.to_go_on(turn.context, self._chunks.text, self._chunks.tokens)
        self._call.meter.begin()
        async with self._dispatcher.clients.of(turn.server).pass_stream(
            self._asked.path, body, prefix
        ) as stream:
            try:
                while (passed := await self._call.read(lambda: anext(stream, None))) is not None:
                    if data := self._taken(passed, turn):
                        await self._answer.write(data)
            except (LetGo, StreamCut):
                if not self._chunks.complete:  # else nothing is missing but the end mark
                    raise
        await self._answer.end(self._chunks.end())
        return True

    def _taken(self, passed: Passed, turn: Turn) -> bytes:
        """Return what is to be sent for what came, which is counted."""
        meter, before = self._call.meter, self._chunks.tokens
        data = self._chunks.take(passed, turn.model)
        meter.heard(self._chunks.tokens - before)
        counters.wrote(turn.server, self._chunks.tokens - before)
        if passed.usage is not None:
            meter.told(*passed.usage)
        return data

    async def _whole(self, turn: Turn) -> None:
        body = self._asked.to_send(turn.context)
        tabby, path = self._dispatcher.clients.of(turn.server), self._asked.path
        seconds = settings.GATEWAY_PLAIN_TIMEOUT
        self._call.meter.begin()
        answer = await self._call.read(lambda: tabby.pass_whole(path, body, seconds))
        prompt, completion = tokens_of(answer)
        self._call.meter.told(prompt, completion)
        counters.wrote(turn.server, completion or 0)
        await self._answer.whole(200, shapes.whole(answer, self._asked.endpoint, turn.model))

    def _bound(self) -> str:
        """Return what keeps the answer, of which something was sent, from being gone on with; '' if nothing does."""
        if not self._chunks.tokens:
            return ""
        return "an answer of this length" if self._chunks.too_long else self._asked.bound


def _cut(turn: Turn, bound: str) -> Refused:
    return Refused(
        503,
        "model_switched",
        f"The model {turn.model} was taken away in the middle of this answer. Another model cannot go on with {bound}. "
        "Send the request again.",
        kind=OURS,
    )
