"""Refusals in the shape of OpenAI's: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import math
from typing import Any

import orjson

from models_admin.tabby.errors import (
    Busy,
    ContextOverflow,
    NotLoaded,
    Rejected,
    Stalled,
    TabbyError,
    TimedOut,
    Unreachable,
)
from models_admin.tabby.passage import sound

INVALID, LIMITED, OURS = "invalid_request_error", "rate_limit_error", "server_error"


class Refused(Exception):
    """A call that is not answered, or not to its end.

    `message` says what to do; `retry_after` (seconds) when the same may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        kind: str = INVALID,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.error = {"message": message, "type": kind, "param": param, "code": code}
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after)))

    @property
    def body(self) -> bytes:
        """The error as JSON."""
        return dumped({"error": self.error})


def dumped(value: Any) -> bytes:
    """Return `value` as JSON; half a character, which an error may repeat, becomes a question mark."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(sound(value))


def unavailable(message: str, retry_after: float = 5, code: str = "model_unavailable") -> Refused:
    """Return a 503: the same may succeed later."""
    return Refused(503, code, message, kind=OURS, retry_after=retry_after)


def of_tabby(error: TabbyError) -> Refused:
    """Return what a caller is told of TabbyAPI's error."""
    if isinstance(error, ContextOverflow):
        return Refused(400, "context_length_exceeded", str(error), param="messages")
    if isinstance(error, Rejected):
        return Refused(400, error.kind, str(error))
    if isinstance(error, Busy | NotLoaded | Unreachable):
        return unavailable(str(error), code=error.kind)
    if isinstance(error, Stalled | TimedOut):
        return Refused(504, error.kind, str(error), kind=OURS)
    return Refused(502, error.kind, str(error), kind=OURS)
