"""Waits for a switch to end. It asks the database, so that no lost event can make anybody wait for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from django.db import DatabaseError
from django.db.models import QuerySet

from models_admin import db_threads, page_schema, process
from models_admin.models import Rollout, Source, State, Switch
from models_admin.presentation import rollout_text, switch_text
from models_admin.servers import known, worker_heartbeats
from models_admin.switching import gate

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05


def _row(switch_id: int) -> Switch:
    return Switch.objects.select_related("requested_by").get(pk=switch_id)


class NoWorker(Exception):
    """The switch is queued, and no worker is alive to carry it out; it stays queued."""

    def __init__(self, switch_id: int) -> None:
        super().__init__(
            f"Queued: no worker is answering. Switch number {switch_id} will run when one is back; start a worker, or "
            "cancel the switch."
        )


def _abandoned(switch: Switch) -> bool:
    """Whether a switch has been queued for longer than a living worker would leave it, and none is alive."""
    untouched = switch.state == State.QUEUED and switch.created_at < process.oldest_alive()
    return untouched and not worker_heartbeats.a_worker_is_alive()


def _look(switch_id: int) -> tuple[Switch, bool]:
    switch = _row(switch_id)
    return switch, _abandoned(switch)


_waits: dict[int, asyncio.Task[Switch]] = {}


async def ended(switch_id: int) -> Switch:
    """Return the switch once it has ended; raises NoWorker where no worker is alive to begin it.

    However many wait for it in this process, the database is asked for all of them together.
    """
    wait = _waits.get(switch_id)
    if wait is None or wait.done() or wait.get_loop() is not asyncio.get_running_loop():
        wait = _waits[switch_id] = asyncio.create_task(_until_ended(switch_id))
        wait.add_done_callback(lambda done: _forget(switch_id, done))
    return await asyncio.shield(wait)


def _forget(switch_id: int, wait: asyncio.Task[Switch]) -> None:
    if _waits.get(switch_id) is wait:
        del _waits[switch_id]
    if not wait.cancelled():
        wait.exception()  # those who waited may all have gone


async def _until_ended(switch_id: int) -> Switch:
    while True:
        try:
            switch, abandoned = await db_threads.read(_look, switch_id)
        except DatabaseError as error:
            log.warning("Switch %s cannot be looked at (%s): trying again", switch_id, error)
            await asyncio.sleep(1)
            continue
        if not switch.active:
            return switch
        if abandoned:
            raise NoWorker(switch_id)
        await asyncio.sleep(POLL_SECONDS)


async def rollout_ended(rollout_id: int) -> tuple[Rollout, Switch]:
    """Wait for a rollout to end; return it, and its last switch. Raises NoWorker where no worker is alive to begin one."""
    while True:
        try:
            row, last = await db_threads.read(_look_at_rollout, rollout_id)
        except DatabaseError as error:
            log.warning("Rollout %s cannot be looked at (%s): trying again", rollout_id, error)
            await asyncio.sleep(1)
            continue
        switch = await ended(last)
        if row.finished_at is not None:
            return row, switch
        await asyncio.sleep(POLL_SECONDS)


def _look_at_rollout(rollout_id: int) -> tuple[Rollout, int]:
    """Return a rollout, and the id of its last switch."""
    row = _rollout(rollout_id)
    last = row.switches.exclude(source=Source.ROLLBACK).values_list("pk", flat=True)[0]
    return row, last


def _rollout(rollout_id: int) -> Rollout:
    return Rollout.objects.select_related("requested_by").get(pk=rollout_id)


def describe_rollout(rollout_id: int) -> page_schema.Rollout:
    """Return the rollout as it is now. Raises Rollout.DoesNotExist."""
    return rollout_text.describe(_rollout(rollout_id))


def describe(switch_id: int) -> page_schema.Switch:
    """Return the switch as it is now. Raises Switch.DoesNotExist."""
    switch = _row(switch_id)
    return switch_text.describe(
        switch, worker=worker_heartbeats.a_worker_is_alive(), replying=gate.in_flight(switch.server_id)
    )


def describe_all(rows: QuerySet[Switch]) -> list[page_schema.Switch]:
    """Return these switches as they are now, in their order."""
    worker = worker_heartbeats.a_worker_is_alive()
    replying = {server: gate.in_flight(server) for server in known.all_servers()}
    return [
        switch_text.describe(switch, worker=worker, replying=replying.get(switch.server_id, 0))
        for switch in rows.select_related("requested_by")
    ]


def follow(
    describe: Callable[[], page_schema.Change], patience: float | None = None
) -> Iterator[page_schema.Change]:
    """Yield what `describe` returns, a switch or a rollout, whenever its lines have changed, and last when it has ended.

    To be used in a thread that may sleep. Without an end, it stops after `patience` seconds (None: never).
    """
    shown: list[page_schema.Line] = []
    end = time.monotonic() + (float("inf") if patience is None else patience)
    while True:
        now = describe()
        if now["lines"] != shown:
            shown = now["lines"]
            yield now
        if now["finished_at"] or time.monotonic() > end:
            return
        time.sleep(POLL_SECONDS)
