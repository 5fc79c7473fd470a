"""A web process is woken by each event, does not look for one in between, and says so when Redis is lost."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio.client import PubSub

from gantry_site.children import redis_binary
from models_admin import events
from models_admin.ops import foundations


@pytest.fixture
def server(settings: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis of one's own."""
    socket = tmp_path / "redis.sock"
    argv = [redis_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    settings.REDIS_URL = f"unix://{socket}"
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for line in process.stdout:
            if b"ready to accept connections" in line.lower():
                break
        yield process
        process.kill()


async def test_an_event_wakes_who_listens_and_a_lost_redis_does(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, get_message = list[float](), PubSub.get_message

    async def counted(self: PubSub, *args: Any, timeout: float, **more: Any) -> Any:
        waits.append(timeout)
        return await get_message(self, *args, timeout=timeout, **more)

    monkeypatch.setattr(PubSub, "get_message", counted)
    sender = events._Sender()
    async with contextlib.aclosing(events.listen()) as heard:
        assert await anext(heard) == {"kind": "backend"}
        for number in range(3):
            sender.put({"kind": "stop", "message": number})
        assert [await anext(heard) for _ in range(3)] == [
            {"kind": "stop", "message": number} for number in range(3)
        ]
        sender.put(None)
        sender.thread.join(30)
        sender.loop.close()
        server.kill()
        with pytest.raises(redis.ConnectionError):
            await anext(heard)
    assert set(waits) == {events.LISTEN_SECONDS}
    assert len(waits) <= 5  # the subscription itself, the events, the end


async def test_what_a_process_sends_to_others_is_heard_by_them_and_not_by_itself(
    server: subprocess.Popen[bytes], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = events._Sender()
    monkeypatch.setattr(events, "_sender", sender)
    async with contextlib.aclosing(events.listen()) as heard:
        await anext(heard)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(events.process, "name", lambda: "another")
            events.send_to_others("room", texts=["theirs"])
        events.send_to_others("room", texts=["own"])
        events.send("stop", message=1)
        assert [await anext(heard) for _ in range(2)] == [
            {"kind": "room", "texts": ["theirs"], "origin": "another"},
            {"kind": "stop", "message": 1},
        ]
    sender.put(None)
    sender.thread.join(30)
    sender.loop.close()


def test_who_looks_at_redis_every_other_second_keeps_the_connection(
    server: subprocess.Popen[bytes], settings: Any
) -> None:
    assert [foundations.redis_server().level for _ in range(3)] == ["ok"] * 3
    with redis.Redis.from_url(settings.REDIS_URL) as other:
        assert other.info("stats")["total_connections_received"] == 2
    server.kill()
    server.wait()
    assert foundations.redis_server().level == "error"
