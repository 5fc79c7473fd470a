"""Waiting for a switch to end. The database is asked, so that no lost event can make anybody wait for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from models_admin import narration, presence, process, threads
from models_admin.models import Lease, State, Switch

POLL_SECONDS = 0.05


def _row(switch_id: int) -> Switch:
    return Switch.objects.select_related("requested_by").get(pk=switch_id)


class NoWorker(Exception):
    """The switch is queued, and no worker is there to carry it out; it stays queued."""

    def __init__(self, switch_id: int) -> None:
        super().__init__(
            f"Queued: no worker is answering. Switch number {switch_id} will run when one is back; start a worker, or "
            "cancel the switch."
        )


def _abandoned(switch: Switch) -> bool:
    """Whether a switch has been queued for longer than a living worker would leave it, and none is alive."""
    untouched = switch.state == State.QUEUED and switch.created_at < process.oldest_alive()
    return untouched and not presence.a_worker_is_alive()


def _look(switch_id: int) -> tuple[Switch, bool]:
    switch = _row(switch_id)
    return switch, _abandoned(switch)


async def ended(switch_id: int) -> Switch:
    """Return the switch once it has ended; raise NoWorker where nobody is there to begin it."""
    while True:
        switch, abandoned = await threads.read(_look, switch_id)
        if not switch.active:
            return switch
        if abandoned:
            raise NoWorker(switch_id)
        await asyncio.sleep(POLL_SECONDS)


def told(switch_id: int) -> dict[str, Any]:
    """The switch as it is now, shaped as narration.told() says. Raises Switch.DoesNotExist."""
    switch = _row(switch_id)
    return narration.told(switch, worker=presence.a_worker_is_alive(), replying=Lease.objects.count())


def told_all(rows: QuerySet[Switch]) -> list[dict[str, Any]]:
    """These switches as they are now, in their order, each shaped as narration.told() says."""
    worker, replying = presence.a_worker_is_alive(), Lease.objects.count()
    return [
        narration.told(switch, worker=worker, replying=replying)
        for switch in rows.select_related("requested_by")
    ]


def follow(switch_id: int, patience: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield the switch, shaped as narration.told() says, at every change, the ended one last.

    It ends after `patience` seconds even if the switch has not.
    """
    shown: list[Any] = []
    end = time.monotonic() + (float("inf") if patience is None else patience)
    while True:
        switch = told(switch_id)
        if switch["lines"] != shown:
            shown = switch["lines"]
            yield switch
        if switch["finished_at"] or time.monotonic() > end:
            return
        time.sleep(POLL_SECONDS)
