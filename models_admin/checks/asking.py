"""Asks TabbyAPI the questions of a run side by side, in an event loop of its own; the caller may stop it at any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from models_admin.checks.judging import Answer
from models_admin.models import Check
from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.chat_stream import CHAT
from models_admin.tabby.errors import TabbyError
from models_admin.visible import visible

MOST_TEXT = 64_000  # characters of an answer; more are no answer that a check waits for


@dataclass
class Question:
    """One request, and the checks that judge the answer to it."""

    body: dict[str, Any]
    checks: list[Check]
    answer: Answer = field(default_factory=Answer)

    @property
    def longest(self) -> int | None:
        """After how many tokens of text the answer has failed each of its checks that watches for its end."""
        limits = [check.ends_within for check in self.checks]
        return max(each for each in limits if each) if all(limits) else None


def body_of(check: Check) -> dict[str, Any]:
    """Return the request of a check."""
    content: Any = check.prompt
    if check.image:
        picture = {"type": "image_url", "image_url": {"url": check.image}}
        content = [{"type": "text", "text": check.prompt}, picture]
    system = [{"role": "system", "content": check.system_prompt}] if check.system_prompt else []
    messages = [*system, {"role": "user", "content": content}]
    extra = {"tools": check.tools} if check.tools else {}
    return {**check.sampling, **extra, "messages": messages, "stream": True}


def questions(checks: Sequence[Check]) -> list[Question]:
    """Return what has to be asked: checks with the same request share the answer."""
    found: dict[bytes, Question] = {}
    for check in checks:
        body = body_of(check)
        key = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        found.setdefault(key, Question(body, [])).checks.append(check)
    return list(found.values())


class Asking:
    """Asks `asked`, at most `at_once` side by side, until `deadline` (time.monotonic()).

    `settled` is called, in the loop's thread, with each question whose answer has ended; where it returns False, the
    others are given up.
    """

    def __init__(
        self,
        tabby: AsyncTabby,
        asked: Sequence[Question],
        *,
        at_once: int,
        deadline: float,
        settled: Callable[[Question], bool],
    ) -> None:
        self._tabby, self._asked = tabby, asked
        self._at_once, self._deadline, self._settled = at_once, deadline, settled
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False

    def run(self) -> None:
        """Ask, and return when all is settled, given up or too late; no stream is open then."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Give up what is not settled, from another thread."""
        self._stopped = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            return
        turn = asyncio.Semaphore(self._at_once)
        async with self._tabby as tabby:
            tasks = [asyncio.create_task(self._one(tabby, each, turn)) for each in self._asked]
            stop = asyncio.create_task(_set(self._stop))
            everything = asyncio.create_task(_all(tasks))
            left = max(0.0, self._deadline - time.monotonic())
            await asyncio.wait((everything, stop), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in (stop, everything, *tasks):
                task.cancel()
            await asyncio.wait((stop, everything, *tasks))
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _one(self, tabby: AsyncTabby, question: Question, turn: asyncio.Semaphore) -> None:
        async with turn:
            await hear(tabby, question)
        if self._stop is not None and not self._settled(question):
            self._stop.set()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


async def hear(tabby: AsyncTabby, question: Question) -> None:
    """Ask one question, and write what comes into its answer; the stream is closed whatever happens."""
    answer, longest = question.answer, question.longest
    began = time.monotonic()
    try:
        async with tabby.pass_stream(CHAT, question.body) as stream:
            async for passed in stream:
                now = time.monotonic() - began
                for payload, _ in passed.events:
                    _take(answer, orjson.loads(payload), now)
                if len(answer.text) > MOST_TEXT or (longest and answer.text_tokens > longest):
                    answer.finish_reason = answer.finish_reason or "length"
                    break
        answer.finish_reason = answer.finish_reason or "stop"
    except TabbyError as error:
        answer.error = f"TabbyAPI did not answer: {error}"
    finally:
        answer.waited = time.monotonic() - began


def _take(answer: Answer, event: dict[str, Any], now: float) -> None:
    """Add one event of the stream to an answer."""
    choice = next(iter(event.get("choices") or []), None)
    if not isinstance(choice, dict):
        return
    delta = choice.get("delta")
    delta = delta if isinstance(delta, dict) else {}
    text, thought = delta.get("content"), delta.get("reasoning_content")
    called = delta.get("tool_calls")
    if isinstance(called, list):
        answer.tools += [name for each in called if (name := _tool_name(each))]
    if isinstance(text, str) and text:
        answer.text += visible(text)
        answer.text_tokens += bool(answer.said)
    if isinstance(thought, str):
        answer.thoughts += visible(thought)
    if text or thought or called:
        answer.tokens += 1
        answer.first_token = now if answer.first_token is None else answer.first_token
        answer.last_token = now
    reason = choice.get("finish_reason")
    if isinstance(reason, str):
        answer.finish_reason = visible(reason)[:32]


def _tool_name(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return visible(name)[:64] if isinstance(name, str) else ""
