"""What the parts of the server share: one Sandbox per application, one Call per request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .config import Config
from .engine import Engine
from .faults import Fault, FaultQueue
from .hub import Hub
from .journal import Journal, Record
from .sse import EventStream, hang_up
from .wire import Refusal, require_object

NOT_JSON = object()


class Sandbox:
    """The pretend server: its configuration, engine, faults and journal."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.faults = FaultQueue()
        self.journal = Journal()
        self.engine = Engine(config, self.faults)
        self.hub = Hub()
        self.calls: set[Call] = set()

    def hang_up_all(self) -> None:
        """Break every connection on which a request is being answered."""
        for call in list(self.calls):
            hang_up(call.request, reset=True)

    def reset(self) -> None:
        """Go back to the configuration: nothing runs, hangs, is queued or recorded."""
        self.hang_up_all()
        self.engine.reset()
        self.hub = Hub()
        self.faults.clear()
        self.journal.clear()


@dataclass(eq=False)
class Call:
    """One request being answered: its parsed body, its record, and the fault that hits it."""

    sandbox: Sandbox
    request: web.Request
    raw_body: Any
    record: Record
    fault: Fault | None

    def require_json(self) -> None:
        """Raise Refusal(422) unless the body is JSON. FastAPI reads it before it asks for a key, so this comes first."""
        if self.raw_body is NOT_JSON:
            detail = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}
            raise Refusal(422, [{**detail, "ctx": {"error": "Expecting value"}}])

    def body(self) -> dict[str, Any]:
        return require_object(self.raw_body)

    def stream(self) -> EventStream:
        self.record.status = 200
        return EventStream(self.request, self.sandbox.config.server.ping_seconds)


SANDBOX = web.AppKey("sandbox", Sandbox)
CALL = web.RequestKey("call", Call)
