"""A person with a chat page that does as the real one: it keeps what is not acknowledged, comes back, and applies events."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp

SILENT = 12.0  # an answer that takes longer means a dead connection
SLOWEST = 15.0  # the longest pause before another try to connect
OPEN = ("queued", "streaming")


class Page:
    """A socket that comes back: to a conversation, or ('' for that) to /ws/models/."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        webs: list[str],
        cookie: str,
        conversation: str,
        dice: random.Random,
    ) -> None:
        self.session, self.webs, self.cookie, self.dice = session, webs, cookie, dice
        self.conversation = conversation
        self.web = dice.choice(webs)
        self.backend: dict[str, Any] = {}
        self.messages: dict[int, dict[str, Any]] = {}
        self.order: list[int] = []
        self.outbox: dict[str, dict[str, Any]] = {}
        self.sent: dict[str, int] = {}
        self.refused: list[str] = []
        self.connected = False
        self.connections = 0
        self.resyncs = 0
        self.listener: Callable[[dict[str, Any]], None] = lambda backend: None
        self._resyncing: set[int] = set()
        self._owed: float | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to live, until close()."""
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Leave; raises what went wrong in the page itself, if anything did."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    # The socket -------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        tries = 0
        while True:
            greeted = self.connections
            try:
                await self._visit()
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            finally:
                self.connected, self._socket, self._owed = False, None, None
            tries = 0 if self.connections > greeted else tries
            most = min(SLOWEST, 0.4 * 2**tries)
            tries += 1
            await asyncio.sleep(most * self.dice.uniform(0.5, 1.0))
            self.web = self.dice.choice(self.webs)

    async def _visit(self) -> None:
        """One connection, until it ends or is silent when an answer is owed."""
        path = f"/ws/chat/{self.conversation}/" if self.conversation else "/ws/models/"
        connecting = self.session.ws_connect(
            self.web.replace("http://", "ws://") + path,
            headers={"Cookie": f"session_id={self.cookie}", "Origin": self.web},
            max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
        )
        async with asyncio.timeout(SILENT):
            socket = await connecting
        async with socket:
            self._socket, self._owed = socket, time.monotonic()
            while True:
                try:
                    message = await socket.receive(timeout=1.0)
                except TimeoutError:
                    if self._owed is not None and time.monotonic() - self._owed > SILENT:
                        return
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self._owed = None
                await self._take(json.loads(message.data))

    async def _take(self, event: dict[str, Any]) -> None:
        missing = self.apply(event)
        if event["type"] == "hello" and not self.connected:
            self.connected = True
            self.connections += 1
            for frame in list(self.outbox.values()):
                await self._send(frame)
        if missing is not None and missing not in self._resyncing:
            self._resyncing.add(missing)
            self.resyncs += 1
            await self._send({"type": "resync", "id": missing})

    async def _send(self, frame: dict[str, Any]) -> None:
        if self._socket is not None and not self._socket.closed:
            self._owed = self._owed or time.monotonic()
            try:
                await self._socket.send_str(json.dumps(frame))
            except (aiohttp.ClientError, OSError):
                return  # it is sent again on the next connection

    async def say(self, words: int, rate: int) -> str:
        """Send a message that is answered with so many words; it is kept until the server acknowledges it."""
        client_id = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        frame = {"type": "send", "client_id": client_id, "text": f"[[tokens={words} rate={rate}]] say it"}
        self.sent[client_id] = words
        self.outbox[client_id] = frame
        if self.connected:
            await self._send(frame)
        return client_id

    async def compare(self) -> None:
        """Ask the next model what the last finished reply answers; where nobody hears that, nothing comes of it."""
        replies = [self.messages[pk] for pk in self.order if self.messages[pk]["role"] == "assistant"]
        finished = [each["id"] for each in replies if each["status"] == "complete"]
        if finished and self.connected:
            await self._send({"type": "compare", "id": finished[-1]})

    def waits(self) -> int:
        """How many messages that were sent from this page have no reply yet, by what it shows."""
        replies = (each for each in self.messages.values() if each["compared_with"] is None)
        ended = {each["parent"] for each in replies if each["status"] not in OPEN}
        answered = sum(each["client_id"] in self.sent for pk, each in self.messages.items() if pk in ended)
        return len(self.sent) - answered

    # Events -----------------------------------------------------------------------------------------------------------

    def apply(self, event: dict[str, Any]) -> int | None:
        """Take an event; return the id of a message of which something is missing, if so."""
        match event["type"]:
            case "hello":
                self._see(event["backend"])
                self._resyncing.clear()
                listed = event.get("messages", [])
                self.messages = {each["id"]: self._freshest(each) for each in listed}
                self.order = [each["id"] for each in listed if each["compared_with"] is None]
                for each in listed:
                    self.outbox.pop(each["client_id"], None)
            case "backend":
                self._see(event)
            case "message":
                self._show(event["message"])
            case "delta":
                return self._grow(event)
            case "block":
                return self._block(event)
            case "error" if "comparisons" not in event["detail"]:  # of these nobody may have many open
                self.refused.append(f"{event['code']}: {event['detail']}")
        return None

    def _see(self, backend: dict[str, Any]) -> None:
        self.backend = backend
        self.listener(backend)

    def _show(self, message: dict[str, Any]) -> None:
        self._resyncing.discard(message["id"])
        self.outbox.pop(message["client_id"], None)
        if message["compared_with"] is not None:
            if message["compared_with"] not in self.messages:
                return
        elif message["id"] not in self.messages:
            if message["parent"] != (self.order[-1] if self.order else None):
                return  # of a branch that is not shown
            self.order.append(message["id"])
        self.messages[message["id"]] = self._freshest(message)

    def _freshest(self, message: dict[str, Any]) -> dict[str, Any]:
        """What to show of a message: not a snapshot that was made before what is known already."""
        known = self.messages.get(message["id"])
        if known is None:
            return message
        newer = message.get("revision", 0) - known.get("revision", 0)
        if newer > 0 or (newer == 0 and len(message["text"]) >= len(known["text"])):
            return message
        return known

    def _grow(self, event: dict[str, Any]) -> int | None:
        message = self.messages.get(event["id"])
        if message is None or "text" not in event:
            return None
        known = len(message["text"]) - event["offset"]
        if known < 0:
            return int(event["id"])
        message["text"] += event["text"][known:]
        if message["status"] == "queued":
            message["status"] = "streaming"
        return None

    def _block(self, event: dict[str, Any]) -> int | None:
        message = self.messages.get(event["id"])
        if message is None or event["upto"] <= message["upto"]:
            return None
        if event["upto"] > len(message["text"]):
            return int(event["id"])
        message["upto"] = event["upto"]
        message["html"] += event["html"]
        return None


async def chat(page: Page, quiet: asyncio.Event) -> None:
    """Send messages and read the replies, in no hurry, until it is to be quiet."""
    dice = page.dice
    while not quiet.is_set():
        # Every third reply takes longer than a switch waits for it, and is cut.
        if dice.random() < 1 / 3:
            await page.say(dice.randint(70, 120), dice.randint(35, 60))
        else:
            await page.say(dice.randint(10, 60), dice.randint(60, 120))
        patient = dice.random() < 0.75
        while not quiet.is_set() and page.waits() > (0 if patient else 1):
            await asyncio.sleep(0.05)
        if dice.random() < 0.1:
            await page.compare()
        await asyncio.sleep(dice.uniform(0.05, 0.4))
