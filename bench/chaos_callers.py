"""Programs that call /v1 while the parts are killed and frozen: plain calls and streams, each on its own socket.

Every call has to end, and to be answered to the word, whoever wrote it; where it is not, the error has to come from a socket
whose own process was killed, or from what was done to TabbyAPI.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bench.chaos_truth import expected
from bench.gateway_client import CHAT, Answer, Connection
from bench.stream_client import Broken

# What callers may be told while TabbyAPI is away, and of what it says itself when it has a fault.
AWAY = {"unreachable", "timed_out", "stream_cut", "stalled", "busy", "not_loaded"}
FAULTY = AWAY | {"server_fault", "garbled", "stream_error"}


@dataclass
class Blow:
    """What is done to a part, from when to when (time.time()): `web` is the address of a web process."""

    deed: str
    victim: str
    web: str = ""
    on: str = ""  # the endpoint that a fault is on
    begun: float = field(default_factory=time.time)
    ended: float = float("inf")

    def end(self) -> None:
        """The part is back."""
        self.ended = time.time()


@dataclass
class Call:
    """One call: what was asked of whom, and what came of it. `error` is a code of Gantry's, or `broken`."""

    web: str
    stream: bool
    words: int
    begun: float = field(default_factory=time.time)
    ended: float | None = None
    text: str = ""
    models: list[str] = field(default_factory=list)
    error: str = ""
    said: str = ""  # the error's words
    wrong: str = ""

    @property
    def name(self) -> str:
        """The call in words."""
        return f"a {'stream' if self.stream else 'plain call'} of {self.words} words through {self.web}"

    def explained(self, blow: Blow) -> bool:
        """Whether that blow is why the call has failed."""
        if self.ended is None or self.begun > blow.ended or self.ended < blow.begun:
            return False
        if self.error == "broken":
            return (blow.deed, blow.web) == ("kill", self.web)
        if blow.victim == "fault":
            return blow.on == "chat" and self.error in FAULTY
        return blow.victim == "sandbox" and self.error in AWAY


class Caller:
    """A program with a token, which calls any of these web processes (HOST:PORT each) as long as it is let."""

    def __init__(
        self, webs: Sequence[str], token: str, dice: random.Random, rates: tuple[int, int] = (35, 100)
    ) -> None:
        self.webs, self.token, self.dice, self.rates = webs, token, dice, rates
        self.calls: list[Call] = []
        self._connection: Connection | None = None

    async def live(self, quiet: asyncio.Event) -> None:
        """Call, and call again, until it is to be quiet; the last call may end."""
        while not quiet.is_set():
            await self.call()
            await asyncio.sleep(self.dice.uniform(0.05, 0.4))

    async def call(self) -> None:
        """Make one call; what comes of it is in `calls`."""
        dice = self.dice
        call = Call(dice.choice(self.webs), dice.random() < 0.5, dice.randint(10, 120))
        self.calls.append(call)
        text = f"[[tokens={call.words} rate={dice.randint(*self.rates)}]] say it"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "stream": call.stream}
        connection: Connection | None = None
        try:
            connection = await Connection.open(call.web)
            answer = await connection.ask(
                CHAT, self.token, {**body, "stream_options": {"include_usage": True}}
            )
        except Broken as error:
            call.error, call.said = "broken", str(error.args[0])
            answer = error.args[1]
        except OSError as error:
            call.error, call.said, answer = "broken", str(error), None
        finally:
            if connection is not None:
                connection.close()
        if answer is not None and answer.status:
            try:
                (_read_stream if call.stream else _read_whole)(call, answer)
            except (LookupError, TypeError, ValueError) as error:
                call.wrong = f"{error!r} in {answer.body[-300:]!r}"
        call.ended = time.time()


def _read_whole(call: Call, answer: Answer) -> None:
    if not answer.whole:
        return
    body = orjson.loads(answer.body)
    if "error" in body:
        call.error, call.said = body["error"]["code"], body["error"]["message"]
        return
    call.text, call.models = body["choices"][0]["message"]["content"], [body["model"]]
    call.wrong = _whole(call, body["choices"][0]["finish_reason"], body["usage"])


def _read_stream(call: Call, answer: Answer) -> None:
    if answer.status != 200:
        _read_whole(call, answer)
        return
    ids, roles, finish, usage, done = set(), 0, [], None, False
    for _, data in answer.events():
        if data == b"[DONE]":
            done = True
            continue
        event = orjson.loads(data)
        if "error" in event:
            call.error, call.said = event["error"]["code"], event["error"]["message"]
            continue
        ids.add(event["id"])
        usage = event["usage"] or usage
        for choice in event["choices"]:
            roles += "role" in choice["delta"]
            finish += [choice["finish_reason"]] if choice["finish_reason"] else []
            if text := choice["delta"].get("content"):
                call.text += text
                if event["model"] not in call.models:
                    call.models.append(event["model"])
    if len(ids) > 1 or (call.text and roles != 1) or len(finish) > 1:
        call.wrong = f"{len(ids)} ids, {roles} roles, ends {finish}"
    elif not call.error:
        call.wrong = (
            _whole(call, finish[0] if finish else None, usage) if done else "no error, and no end mark"
        )


def _whole(call: Call, reason: Any, usage: Any) -> str:
    """What is wrong with an answer that is said to be whole; '' if nothing."""
    if call.text != expected(call.words):
        return f"no text of {call.words} words: {call.text!r}"
    if reason != "stop" or usage["completion_tokens"] != call.words:
        return f"it ended with {reason}, and counts {usage} for {call.words} words"
    return ""


def judge_calls(calls: Sequence[Call], blows: Sequence[Blow]) -> list[str]:
    """What is wrong with the calls, in words: those that have not ended, too."""
    complaints = []
    for call in calls:
        if call.ended is None:
            complaints.append(f"{call.name} has not ended")
        elif call.wrong:
            complaints.append(f"{call.name}: {call.wrong}")
        elif call.error and not expected(call.words).startswith(call.text or ""):
            complaints.append(f"{call.name} was sent no beginning of its text: {call.text!r}")
        elif call.error and not any(call.explained(blow) for blow in blows):
            complaints.append(f"{call.name} failed for no reason: {call.error}, {call.said}")
    return complaints
