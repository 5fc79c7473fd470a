"""What takes a web process of its own: a queue that begins to move when a switch ends, and sockets that only wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median

import requests

from bench.stream_client import Page, open_pages
from bench.stream_people import Visitor, fresh_pages
from bench.stream_system import KEY, System

LOAD_SECONDS = 5.0
GO_ON = 20.0  # tokens a second of the replies that begin when the switch ends: enough to see the first one


@dataclass
class Resumed:
    """Seconds from the end of a switch to the first token of the queued replies."""

    median: float
    last: float
    probed: float  # the last, counted from TabbyAPI's answer to the probe


async def resume(system: System, target: str, addresses: list[tuple[str, str]]) -> Resumed:
    """Have a message queued on each page while `target` loads; see when the replies begin."""
    pages = await open_pages(f"127.0.0.1:{system.port}", addresses)
    system.sandbox.forget()
    number = await asyncio.to_thread(_start_switch, target)
    await asyncio.sleep(0.5)
    for page in pages:
        page.say(f"[[tokens=20 rate={GO_ON:g} size=6]] queued")
    await asyncio.wait([page.queued for page in pages], timeout=LOAD_SECONDS)
    if late := sum(not page.queued.done() for page in pages):
        raise RuntimeError(f"{late} of {len(pages)} messages were not queued within {LOAD_SECONDS:g} s")
    with system.profiled():
        taken = await asyncio.gather(*(page.answered for page in pages))
    for page in pages:
        page.close()
    ended = await asyncio.to_thread(_end_of, number)
    probe = next(
        each for each in system.sandbox.log("/v1/chat/completions") if each["body"].get("max_tokens") == 1
    )
    waits = [each.first - ended for each in taken]
    if min(waits) < -0.5:
        raise RuntimeError("a reply began before the switch had ended: the messages were not queued")
    return Resumed(median(waits), max(waits), max(each.first for each in taken) - probe["ended_at"])


def _start_switch(target: str) -> int:
    from models_admin.models import Source  # noqa: PLC0415
    from models_admin.servers import known  # noqa: PLC0415
    from models_admin.switching import transitions  # noqa: PLC0415 (Django is set up by now)

    return int(transitions.request(known.default(), target, source=Source.COMMAND).pk)


def _end_of(number: int) -> float:
    from models_admin.models import State, Switch  # noqa: PLC0415

    switch = Switch.objects.get(pk=number)
    if switch.state != State.SUCCEEDED or switch.finished_at is None:
        raise RuntimeError(f"the switch ended as {switch.state}: {switch.error}")
    return float(switch.finished_at.timestamp())


def load_directly(system: System, name: str) -> None:
    """See that the model `name` is loaded, by Gantry, before something is measured."""
    if (
        requests.get(f"{system.sandbox.url}/v1/model", headers={"x-api-key": KEY}, timeout=5).json().get("id")
        == name
    ):
        return
    number = _start_switch(name)
    end = time.monotonic() + 60
    while True:
        try:
            _end_of(number)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


@dataclass
class Held:
    """MiB of the web process: without sockets, with idle ones, and with streams on some of them; and what idling costs."""

    empty: float
    idle: float
    streaming: float
    sockets: int
    streams: int
    idle_cpu: float  # CPU seconds a second

    @property
    def per_socket(self) -> float:
        """KiB."""
        return (self.idle - self.empty) * 1024 / self.sockets

    @property
    def per_stream(self) -> float:
        """KiB."""
        return (self.streaming - self.idle) * 1024 / self.streams


async def hold(system: System, addresses: list[tuple[str, str]], streams: int, *, seconds: float) -> Held:
    """Open all pages on a web process that has just been started, leave them alone, then stream to the first of them."""
    address = f"127.0.0.1:{system.port}"
    (warm,) = await open_pages(address, addresses[:1])
    warm.say("[[tokens=20 rate=0 size=6]] warm")
    await warm.answered
    warm.close()
    await asyncio.sleep(1.0)
    empty = system.web.memory()
    pages = await open_pages(address, addresses[1:])
    await asyncio.sleep(2.0)
    idle, before, since = system.web.memory(), system.web.cpu(), time.monotonic()
    with system.profiled():
        await asyncio.sleep(seconds)
    spent = (system.web.cpu() - before) / (time.monotonic() - since)
    idle = max(idle, system.web.memory())
    streaming = await _stream(system, pages[:streams], seconds)
    for page in pages:
        page.close()
    return Held(empty, idle, streaming, len(pages), streams, spent)


async def _stream(system: System, pages: list[Page], seconds: float) -> float:
    """Stream to these pages; return the most MiB that the web process held meanwhile."""
    for page in pages:
        page.say(f"[[tokens={int(50 * seconds)} rate=50 size=6]] hold")
    most = 0.0
    waiting = asyncio.gather(*(page.answered for page in pages))
    while not waiting.done():
        most = max(most, system.web.memory())
        await asyncio.sleep(0.2)
    await waiting
    return most


def addresses(people: list[Visitor], count: int) -> list[tuple[str, str]]:
    """So many pages, of as many conversations."""
    return fresh_pages(people, count)
