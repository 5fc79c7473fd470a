"""Scripted faults: a queue, from which the next request that a fault fits takes it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

ENDPOINTS = {
    "/v1/model/load": "load",
    "/v1/model/unload": "unload",
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/models": "models",
    "/v1/model/list": "models",
    "/v1/model/draft/list": "drafts",
    "/v1/templates": "templates",
    "/v1/template/list": "templates",
    "/v1/model": "model",
    "/v1/download": "download",
    "/v1/auth/permission": "permission",
    "/health": "health",
}
KINDS = {
    "error", "oom", "corrupted", "hang", "slow", "garbage", "html", "status", "cut", "cut_mid_line",
    "drop", "error_event", "no_done", "empty", "finished_then_error", "abrupt",
    "flood",
}  # fmt: skip
OOM = (
    "CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 23.68 GiB of which "
    "412.31 MiB is free. Including non-PyTorch memory, this process has 23.26 GiB memory in use."
)
CORRUPTED = "Error while deserializing header: MetadataIncompleteBuffer"
ABORTED = "Chat completion aborted. Please check the server console."


class FaultError(ValueError):
    """The description of a fault cannot be used; the message says why."""


@dataclass
class Fault:
    """What goes wrong next. `at`: after so many modules, tokens or events.

    `times`: how many requests it hits (-1: every one until cleared). `seconds`: how long a hang lasts
    (None: until released), a slow answer waits, or a slow module or token takes.
    """

    on: str
    kind: str
    at: int = 1
    status: int | None = None
    body: str | None = None
    seconds: float | None = None
    times: int = 1
    message: str | None = None
    model: str | None = None

    def words(self) -> str:
        """Return the error text that the fault sends."""
        if self.message:
            return self.message
        return {"oom": OOM, "corrupted": CORRUPTED}.get(
            self.kind, ABORTED if self.on in ("chat", "completions") else "The sandbox was told to fail here."
        )


def parse_fault(data: Any) -> Fault:
    """The JSON of POST /sandbox/fault → Fault; raises FaultError."""
    if not isinstance(data, dict):
        raise FaultError('A fault is an object such as {"on": "load", "kind": "oom", "at": 7}.')
    unknown = set(data) - set(Fault.__dataclass_fields__)
    if unknown:
        raise FaultError(f"Unknown key {sorted(unknown)[0]} in a fault.")
    endpoints = sorted({*ENDPOINTS.values(), "any"})
    if data.get("on") not in endpoints:
        raise FaultError(f"'on' is one of {', '.join(endpoints)}.")
    if data.get("kind") not in KINDS:
        raise FaultError(f"'kind' is one of {', '.join(sorted(KINDS))}.")
    for key, kinds in {"at": int, "times": int, "status": int, "seconds": (int, float)}.items():
        value = data.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):  # type: ignore[arg-type]
            raise FaultError(f"'{key}' is a number.")
    return Fault(**data)


class FaultQueue:
    """The faults still to come, in order, and the event for which hanging requests wait."""

    def __init__(self) -> None:
        self._queue: list[Fault] = []
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> None:
        self._queue.append(fault)

    def take(self, endpoint: str, model: str | None = None) -> Fault | None:
        """Return the first fault for this endpoint (and model, where the fault names one), and count it as used."""
        for fault in self._queue:
            if fault.on not in {endpoint, "any"} or (fault.model and fault.model != model):
                continue
            fault.times -= 1
            if fault.times == 0:
                self._queue.remove(fault)
            return fault
        return None

    def clear(self) -> None:
        """Drop all queued faults, and let everything that hangs go on."""
        self._queue.clear()
        self._released.set()
        self._released = asyncio.Event()

    async def hold(self, seconds: float | None = None) -> None:
        """Hang for `seconds`, or until `clear`."""
        released = self._released
        try:
            async with asyncio.timeout(seconds):
                await released.wait()
        except TimeoutError:
            return

    def pending(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._queue]
