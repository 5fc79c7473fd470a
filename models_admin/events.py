"""Events between processes, through one channel of Redis.

An event is a nudge: {"kind": KIND, …} as JSON. It goes to every web process, or to all but the one that sends it. Each of
these has one subscription, reads the database for the truth, and passes that on to its own sockets. So events cannot arrive
in the wrong order, a lost one does no harm, and a page costs no subscription. Sending never waits and never fails: one
thread of this process sends, and what Redis does not take within two seconds is dropped (each web process looks at the
database every few seconds anyway). A process that ends, such as a command, first sends what is still in its queue.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from celery import current_app
from django.conf import settings
from redis.asyncio import Redis

from models_admin import log_context, process

log = logging.getLogger(__name__)

CHANNEL = "gantry:events"
CONNECT_SECONDS = 3.0
LISTEN_SECONDS = 5.0  # without an event; then Redis is pinged, which shows whether the connection is lost
SEND_SECONDS = 2.0
TOGETHER = 100  # events that are sent in one go
PENDING = 1000  # events that may wait to be sent; more are dropped, oldest first
PENDING_CHARS = 16 * 1024 * 1024  # and of the texts in them, which may be whole replies


def _redis() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=CONNECT_SECONDS, health_check_interval=LISTEN_SECONDS
    )


async def listen() -> AsyncGenerator[dict[str, Any]]:
    """Subscribe, and yield each event. A `backend` event comes first, because one may have been missed.

    Events that this process sent to others are left out. Raises what redis-py raises when the connection is lost.
    """
    own = orjson.dumps({"origin": process.name()})[1:]
    async with _redis() as server, server.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(CHANNEL)
        yield {"kind": "backend"}
        while True:
            message = await subscription.get_message(timeout=LISTEN_SECONDS)
            if message is not None and not message["data"].endswith(own):
                yield orjson.loads(message["data"])


class _Sender:
    """A thread with a loop of its own and one connection to Redis, which sends events in their order."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.queued_chars = 0  # characters of the texts in the queue
        self.thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._send_all())

    def put(self, event: dict[str, Any] | None) -> None:
        """Have an event sent, from any thread; None: send what is in the queue, and end."""
        self.loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: dict[str, Any] | None) -> None:
        self.queued_chars += _size(event)
        while self.queue.qsize() >= PENDING or (self.queued_chars > PENDING_CHARS and not self.queue.empty()):
            self.queued_chars -= _size(self.queue.get_nowait())
        self.queue.put_nowait(event)

    async def _send_all(self) -> None:
        failing = ends = False
        async with _redis() as server:
            while not ends:
                events = [await self.queue.get()]
                while len(events) < TOGETHER and not self.queue.empty():
                    events.append(self.queue.get_nowait())
                ends = None in events
                self.queued_chars -= sum(map(_size, events))
                try:
                    await asyncio.wait_for(_publish(server, events), SEND_SECONDS)
                    failing = False
                except Exception as error:  # noqa: BLE001 (whatever Redis does must not end the sending)
                    if not failing:
                        log.warning(
                            "Redis did not take %s events (%s): pages follow the database",
                            len(events),
                            error or "timed out",
                        )
                    failing = True


async def _publish(server: Redis, events: list[dict[str, Any] | None]) -> None:
    """Send all in one round trip: one by one, a moment with many messages costs several times as much."""
    pipeline = server.pipeline(transaction=False)
    for event in events:
        if event is not None:
            pipeline.publish(CHANNEL, orjson.dumps(event))
    await pipeline.execute()


def _size(event: dict[str, Any] | None) -> int:
    return sum(map(len, event.get("texts", ()))) if event else 0


_sender: _Sender | None = None
_sender_lock = threading.Lock()
_nudges: set[threading.Thread] = set()


@atexit.register
def _send_the_rest() -> None:
    """Wait a moment for the sending threads: an interpreter that ends stops them wherever they are, and may crash."""
    if _sender is not None:
        _sender.put(None)
    deadline = time.monotonic() + SEND_SECONDS + 0.5
    for thread in [*_nudges, *([_sender.thread] if _sender else [])]:
        thread.join(max(0.0, deadline - time.monotonic()))


def send(kind: str, **facts: Any) -> None:
    """Send an event to every web process; return at once. `facts` must be what JSON takes."""
    global _sender  # noqa: PLW0603 (one a process, made when it is first needed)
    if _sender is None:
        with _sender_lock:
            _sender = _sender or _Sender()
    _sender.put({"kind": kind, **facts})


def send_to_others(kind: str, **facts: Any) -> None:
    """Send an event to every other web process, as send() does. Its origin comes last: by that a process knows its own."""
    send(kind, **facts, origin=process.name())


def backend_changed() -> None:
    """Send that what TabbyAPI runs, or the switch under way, has changed."""
    send("backend")


def catalog_changed() -> None:
    """Send that models have come or gone, or that what is noted about them has changed."""
    send("catalog")


def aliases_changed() -> None:
    """Send that an alias was made, changed, retired or brought back."""
    send("aliases")


def requests_changed() -> None:
    """Send that somebody has asked for a model, or that a request has ended."""
    send("requests")


def let_go() -> None:
    """Send that leases were revoked: their holders must close their streams."""
    send("let_go")


def nudge_worker(task: str, *args: Any) -> None:
    """Send the Celery task `task`, from a thread that may wait for Redis. A worker finds the work of a lost one later."""

    headers = {"request_id": log_context.request_id.get()}

    def publish() -> None:
        try:
            current_app.send_task(task, args, headers=headers)
        except Exception as error:  # noqa: BLE001 (kombu raises whatever its transport does)
            log.warning("Redis did not take the task %s (%s): a worker will find it", task, error)
        finally:
            _nudges.discard(threading.current_thread())

    thread = threading.Thread(target=publish, name="nudge", daemon=True)
    _nudges.add(thread)
    thread.start()
