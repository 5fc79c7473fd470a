"""Whether a call is worth another turn after something went wrong with TabbyAPI."""

from __future__ import annotations

from gateway.calls import LiveCall
from models_admin import db_threads
from models_admin.automation.lookers import Lookers
from models_admin.automation.stalls import Stalls
from models_admin.presentation import snapshots
from models_admin.tabby.errors import (
    Busy,
    NotBegun,
    NotLoaded,
    Stalled,
    StreamCut,
    StreamError,
    TabbyError,
    TimedOut,
    Unreachable,
)

GIVE_UP_AFTER = 3  # attempts that failed
# After these, TabbyAPI is asked what is loaded: the model may have gone.
SUSPICIOUS = (Unreachable, NotLoaded, Busy, StreamCut, StreamError, Stalled, TimedOut)
# These say nothing about the call itself.
PASSING = (Unreachable, NotLoaded, NotBegun, Busy, StreamCut)


class Retries:
    """What this process knows after an error; many who ask at once share one answer."""

    def __init__(self, stalls: Stalls) -> None:
        self._lookers = Lookers()
        self._stalls = stalls

    async def look_at_all(self) -> None:
        """Ask all servers what is loaded, and have that written down."""
        await self._lookers.look_at_all()

    async def pause_after(self, call: LiveCall, error: TabbyError) -> float | None:
        """Return for how many seconds the call is to wait before its next turn; None where it has failed."""
        if not isinstance(error, SUSPICIOUS) or call.turn is None:
            return None
        if isinstance(error, Stalled) and await self._stalls.has_stalled(call.turn.server):
            return 0.0
        await self._lookers.look(call.turn.server)
        snapshot = await db_threads.read(snapshots.current, call.turn.server)
        if snapshot["state"] != "ready" or snapshot["epoch"] != call.turn.epoch:
            return 0.0
        call.attempts += 1
        if not isinstance(error, PASSING) or call.attempts >= GIVE_UP_AFTER:
            return None
        return float(0.5 * 2**call.attempts)
