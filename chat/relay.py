"""One reply on its way: TabbyAPI's stream becomes deltas for the pages that look on, and a text that is saved as it grows.

What one read brought goes out as one frame, at once. While much streams, the next read waits for the tick of one clock that
all replies of the process share. Nothing here touches the database while the reply streams: the dispatcher saves all growing
replies together.
"""

from __future__ import annotations

import asyncio
import enum
import time
from dataclasses import replace

import orjson
from django.conf import settings

from chat import prompts
from chat.elsewhere import elsewhere
from chat.page_schema import ChatEvent, Message
from chat.progress import ClaimedReply, ReplyProgress
from chat.read_clock import clock
from chat.rendering import Block, Blocks
from chat.rooms import rooms
from chat.thinking import Taken, Thinking
from models_admin import counters
from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.errors import ContextOverflow, ToolsAsked
from models_admin.tabby.wire import Delta
from models_admin.usage.meter import Meter

MAX_CHARS = "max_chars"  # the finish reason of a reply that Gantry ended at REPLY_MAX_CHARS
RENDER_SECONDS = 0.004  # for which a reply's text is rendered before others have the loop


class EndReason(enum.Enum):
    """Why a reply ends before its stream does."""

    STOPPED = "its reader stopped it"
    LET_GO = "a switch needs the model, or the model has gone"
    LOST = "another process has it now"


class LiveReply:
    """A reply that this process streams."""

    def __init__(self, work: ClaimedReply, tabby: AsyncTabby) -> None:
        self.work = work
        self.verdict: EndReason | None = None
        self.saved = True
        self.meter = Meter(work.spent)
        self.grown = ReplyProgress(work.text, work.reasoning, work.reasoning_seconds)
        self._tabby = tabby
        self._text = [work.text] if work.text else []
        self._reasoning = [work.reasoning] if work.reasoning else []
        self._thinking = Thinking(work.text, thought=bool(work.reasoning))
        self._blocks = Blocks()
        self._room = settings.REPLY_MAX_CHARS - len(work.text) - len(work.reasoning)
        self._blocks.accept(work.text)
        self._sent = len(work.text)
        self._reasoning_sent = len(work.reasoning)
        self._held: list[str] = []
        self._held_reasoning: list[str] = []
        self._held_blocks: list[Block] = []
        self._html: list[str] = []  # what pages have been sent of it
        self._upto = 0
        self._first = True
        self._last_arrival = 0.0  # time.monotonic() of it; 0 before the first
        self._thinking_since: float | None = None
        self._stream: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def end(self, verdict: EndReason) -> None:
        """End the stream now; the first verdict stays."""
        if self.verdict is None:
            self.verdict = verdict
            if self._stream is not None:
                self._stream.cancel()

    def fail(self, error: BaseException) -> None:
        """End the stream now, because of `error`: run() raises it."""
        self._failure = error
        if self._stream is not None:
            self._stream.cancel()

    async def run(self) -> BaseException | None:
        """Stream to the end; return what went wrong, if anything. A verdict that ended it is in `verdict`."""
        clock.begin()
        self._stream = asyncio.create_task(self._relay())
        if self.verdict is not None:
            self._stream.cancel()
        try:
            await asyncio.wait([self._stream])
        finally:
            clock.end()
        if self._failure is not None:
            raise self._failure
        self.flush()
        return None if self._stream.cancelled() else self._stream.exception()

    async def render(self) -> None:
        """Render what has come, in slices between which others have the loop; the text itself does not wait for it."""
        self._held_blocks += self._blocks.work(RENDER_SECONDS)
        while self._blocks.behind:
            if self._held:
                self.flush()
            await asyncio.sleep(0)
            self._held_blocks += self._blocks.work(RENDER_SECONDS)

    async def prepare(self) -> None:
        """Render the text that is there before any more comes: the first snapshot tells of it."""
        await self.render()
        self._held_blocks, blocks = [], self._held_blocks
        self._html, self._upto = [block.html for block in blocks], self._blocks.upto

    async def render_whole(self) -> None:
        """Render all of the text, which has ended."""
        self._grow(self._thinking.end(cut=self.grown.finish_reason != "stop"))
        self._blocks.end()
        await self.render()

    def snapshot(self) -> Message:
        """The reply as the page is told of it, with what has come so far."""
        return {
            **self.work.row,
            "text": self.text()[: self._sent],
            "html": "".join(self._html),
            "upto": self._upto,
            "reasoning": self.reasoning()[: self._reasoning_sent],
        }

    def text(self) -> str:
        """All text so far."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""

    def reasoning(self) -> str:
        """All reasoning so far."""
        if len(self._reasoning) > 1:
            self._reasoning = ["".join(self._reasoning)]
        return self._reasoning[0] if self._reasoning else ""

    def so_far(self) -> ReplyProgress:
        """What has come, ready to be written."""
        self.grown.text, self.grown.reasoning = self.text(), self.reasoning()
        self.grown.measured = self.meter.read()
        self.saved = True
        return self.grown

    def finished(self) -> ReplyProgress:
        """What has come, ready to be written for good; render_whole() has been waited for."""
        self.flush()
        self.so_far()
        self.grown.html = self._blocks.html
        return self.grown

    async def _relay(self) -> None:
        prompt = self.work.prompt
        while True:
            try:
                await self._relay_once(prompt)
            except ContextOverflow:
                shorter = prompts.without_oldest(prompt)
                if not self._first or shorter is None:
                    raise
                self.grown.left_out += len(prompt) - len(shorter)
                prompt = shorter
            else:
                return

    async def _relay_once(self, prompt: list[dict[str, str]]) -> None:
        if self._room <= 0:  # continued, and at its bound already
            self.grown.finish_reason = MAX_CHARS
            return
        asked = time.monotonic()
        self.meter.begin()
        opened = self._tabby.stream_chat(prompt, params=self.work.params, prefix=self.work.text)
        async with opened as stream:
            async for delta in stream:
                now = time.monotonic()
                if self._last_arrival:
                    counters.TOKEN_DELAY.observe(now - self._last_arrival)
                else:
                    counters.FIRST_TOKEN.observe(now - asked)
                self._last_arrival = now
                self._take(delta)
                await self.render()
                self.flush()
                if self._room <= 0:
                    return  # leaving the stream stops the generation
                await clock.pause(delta.pieces)
        if self.grown.finish_reason == "tool_calls" and not self.text().strip():
            raise ToolsAsked("The model asked for a tool instead of answering, and this chat has no tools")

    def _within_bounds(self, delta: Delta) -> Delta:
        """`delta`, or of one that goes over what a reply may hold, what there is room for."""
        room, size = self._room, len(delta.reasoning) + len(delta.text)
        self._room -= size
        if size < room or (size == room and delta.finish_reason):
            return delta
        reasoning = delta.reasoning[:room]
        text = delta.text[: room - len(reasoning)]
        return replace(delta, text=text, reasoning=reasoning, finish_reason=MAX_CHARS)

    def _take(self, delta: Delta) -> None:
        self.meter.heard(delta.pieces)
        counters.wrote(self.work.server, delta.pieces)
        delta = self._within_bounds(delta)
        if delta.reasoning:
            self._thinking.reasoned()
            self._grow(Taken("", delta.reasoning))
        if delta.text:
            self._grow(self._thinking.take(delta.text))
        if delta.usage is not None:
            self.grown.usage = delta.usage.as_dict()
            self.meter.told(delta.usage.prompt_tokens, delta.usage.completion_tokens)
        if delta.finish_reason:
            self.grown.finish_reason = delta.finish_reason
        self.saved = False

    def _grow(self, taken: Taken) -> None:
        if taken.moved:
            self._move_to_reasoning()
        if taken.back:
            self._reasoning, self._held_reasoning = [self.reasoning()[: -taken.back]], []
            self._reasoning_sent = len(self._reasoning[0])
        if taken.reasoning:
            self._thinking_since = self._thinking_since or time.monotonic()
            self._reasoning.append(taken.reasoning)
            self._held_reasoning.append(taken.reasoning)
        if taken.moved:
            self._held_reasoning, self._reasoning_sent = [], len(self.reasoning())
            self._send({"type": "message", "message": self.snapshot()})
        if taken.text:
            self._text.append(taken.text)
            self._held.append(taken.text)
            self._blocks.accept(taken.text)
            if self._thinking_since is not None and self.grown.reasoning_seconds is None:
                self.grown.reasoning_seconds = round(time.monotonic() - self._thinking_since, 1)
        if taken.back:
            if not self.reasoning():
                self.grown.reasoning_seconds = None
            self._held, self._sent = [], len(self.text())
            self._send({"type": "message", "message": self.snapshot()})

    def _move_to_reasoning(self) -> None:
        """What has come as text was thinking whose beginning was not marked. Pages need a snapshot then."""
        self._reasoning.append(self.text())
        self._text, self._held, self._held_blocks, self._html = [], [], [], []
        self._sent = self._upto = 0
        self._blocks = Blocks()

    def flush(self) -> None:
        """Send what is held back to the pages that look on."""
        if self._held_reasoning:
            text, self._held_reasoning = "".join(self._held_reasoning), []
            offset, self._reasoning_sent = self._reasoning_sent, self._reasoning_sent + len(text)
            self._send({"type": "delta", "id": self.work.message, "offset": offset, "reasoning": text})
        if self._held:
            text, self._held = "".join(self._held), []
            offset, self._sent = self._sent, self._sent + len(text)
            self._first = False
            self._send({"type": "delta", "id": self.work.message, "offset": offset, "text": text})
        if self._held_blocks:
            blocks, self._held_blocks = self._held_blocks, []
            self._send_blocks(blocks)

    def _send_blocks(self, blocks: list[Block]) -> None:
        """Send `blocks` as one frame: to a page they are HTML that follows on what it has."""
        html, self._upto = "".join(block.html for block in blocks), blocks[-1].upto
        self._html.append(html)
        self._send({"type": "block", "id": self.work.message, "upto": self._upto, "html": html})

    def _send(self, event: ChatEvent) -> None:
        text = orjson.dumps(event).decode()
        if rooms.watched_elsewhere(self.work.conversation):
            elsewhere.tell(self.work.conversation, text, grows=True)
        rooms.tell_here(self.work.conversation, text)
