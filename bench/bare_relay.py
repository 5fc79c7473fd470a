"""The shortest honest relay, as a yardstick: a page's socket in, TabbyAPI's stream out, one frame for each read.

    python -m bench.bare_relay --port 9000 --url http://127.0.0.1:5000 --key KEY

uvicorn, aiohttp and orjson. It speaks Gantry's frames, so that the same client reads it, and does nothing else: no database,
no users, no gate, no Markdown, no memory of what was said. What Gantry costs beyond this is what its promises cost.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Relay:
    """An ASGI application with one path: any."""

    def __init__(self, url: str, key: str) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.headers = {"Authorization": f"Bearer {key}"}
        self.session: aiohttp.ClientSession | None = None
        self.last = 0
        self.replies: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed; a plain request is told that the relay is there."""
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        if self.session is None:
            self.session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None),
                connector=aiohttp.TCPConnector(limit=0),
                read_bufsize=2**16,
            )
        await receive()
        await send({"type": "websocket.accept"})
        await _tell(send, {"type": "hello"})
        while (frame := await receive())["type"] == "websocket.receive":
            task = asyncio.create_task(self.reply(self.session, orjson.loads(frame["text"]), send))
            self.replies.add(task)
            task.add_done_callback(self.replies.discard)

    async def reply(self, session: aiohttp.ClientSession, asked: dict[str, Any], send: Send) -> None:
        """Answer one message: every read of TabbyAPI's stream is one frame."""
        self.last += 2
        mine, size = self.last, 0
        await _tell(send, _message(mine - 1, 0, "complete", "", asked["client_id"]))
        await _tell(send, _message(mine, mine - 1, "streaming", ""))
        body = {
            "messages": [{"role": "user", "content": asked["text"]}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        parts, kept = [], b""
        async with session.post(self.url, json=body, headers=self.headers) as answer:
            answer.raise_for_status()
            async for data in answer.content.iter_any():
                *events, kept = (kept + data).split(b"\r\n\r\n")
                text = "".join(_content(event) for event in events)
                if text:
                    await _tell(send, {"type": "delta", "id": mine, "offset": size, "text": text})
                    size += len(text)
                    parts.append(text)
        await _tell(send, _message(mine, mine - 1, "complete", "".join(parts)))


def _content(event: bytes) -> str:
    if not event.startswith(b"data: {"):
        return ""
    choices = orjson.loads(event[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def _message(number: int, parent: int, status: str, text: str, client_id: str = "") -> dict[str, Any]:
    message = {"id": number, "parent": parent, "status": status, "text": text, "client_id": client_id}
    return {"type": "message", "message": message}


async def _tell(send: Send, event: dict[str, Any]) -> None:
    await send({"type": "websocket.send", "text": orjson.dumps(event).decode()})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare_relay")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    chosen = parser.parse_args()
    uvicorn.run(
        Relay(chosen.url, chosen.key),
        host="127.0.0.1",
        port=chosen.port,
        loop="uvloop",
        log_level="warning",
        ws_per_message_deflate=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
