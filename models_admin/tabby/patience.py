"""How long a reply is waited for. Pure: no clock of its own, no socket.

Until the first token, TabbyAPI may have the request in its queue, or read a long conversation. Its pings show then that it
works, and the wait has a limit of its own. From the first token on, a ping is no progress: after an unload, a stream hangs
for ever and still pings.
"""

from __future__ import annotations

from models_admin.tabby.errors import Stalled

_STILL_READING = (
    "TabbyAPI is alive: it is still reading the conversation, or has a long queue. Try again, or shorten the conversation; "
    "an administrator can raise FIRST_TOKEN_TIMEOUT."
)
_NO_PINGS = (
    "Try again; an administrator can see whether TabbyAPI hangs. Where its pings are off (sse_ping_interval: 0), "
    "REPLY_STALL_TIMEOUT has to be longer than it takes to read the longest conversation."
)


class Patience:
    """Limits in seconds: `first` from the request to the first token, with at most `stall` of silence meanwhile; then
    `stall` from one event to the next. `deadline` is when the wait is over, by the caller's clock, as is each `now`.
    """

    def __init__(self, stall: float, first: float) -> None:
        self.deadline = 0.0
        self._stall, self._first = stall, first
        self._first_by = 0.0
        self._begun = False

    def start(self, now: float) -> None:
        """Note that the first request leaves."""
        self._first_by = now + self._first
        self.life(now)

    def life(self, now: float) -> None:
        """Note that something came, a ping at least, or that another request leaves."""
        if not self._begun:
            self.deadline = min(now + self._stall, self._first_by)

    def progress(self, now: float, *, token: bool) -> None:
        """Note that an event came; `token`: it had text or reasoning."""
        self._begun = self._begun or token
        if self._begun:
            self.deadline = now + self._stall

    def error(self, now: float, doing: str) -> Stalled:
        """Return the error for a wait that is over."""
        if self._begun:
            return Stalled(f"TabbyAPI sent nothing for {self._stall:g} s while {doing}")
        if now >= self._first_by:
            return Stalled(f"No token came within {self._first:g} s while {doing}", advice=_STILL_READING)
        return Stalled(
            f"TabbyAPI sent nothing, not even a ping, for {self._stall:g} s while {doing}", advice=_NO_PINGS
        )
