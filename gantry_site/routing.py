"""The ASGI application: which consumer serves which socket, and what starts with a web process' first request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.urls import path, re_path

from chat.consumers import ChatConsumer
from chat.dispatch import dispatcher
from gantry_site.bodies import bounded
from gateway import application as gateway
from gateway.dispatch import dispatcher as calls
from models_admin import counters, log_context
from models_admin.api.origins import is_ours
from models_admin.live.consumers import Page
from models_admin.live.hub import hub
from models_admin.live.outgoing import Outgoing, Send
from models_admin.ops import foundations
from models_admin.servers import machine

Receive = Callable[[], Awaitable[dict[str, Any]]]
Application = Callable[..., Awaitable[None]]

HEADERS = (b"host", b"origin", b"cookie")  # of a socket's handshake: those that are read
END_SECONDS = 3  # for replies to be put back; those that are not are revived by another process


def start() -> None:
    """Begin this process' background work in the running loop: events, counters, queued replies. Repeating does nothing."""
    machine.start([foundations.disk, foundations.redis_server])
    hub.start()
    counters.start()
    dispatcher.start()
    calls.start()


def build(pages: Application) -> Application:
    """Return the whole application around Django's `pages`; it works on any ASGI server, with or without lifespan."""
    sockets = URLRouter(
        [
            path("ws/models/", Page.as_asgi()),
            path("ws/chat/<uuid:conversation_id>/", ChatConsumer.as_asgi()),
            re_path("", WebsocketDenier.as_asgi()),
        ]
    )
    http, v1, websocket = bounded(pages), bounded(gateway.application), from_our_pages(sockets)

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        start()
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            with log_context.request(""):
                scope = {**scope, "path": _without_folder(scope["path"])}
                await websocket(scope, receive, send)
        elif gateway.is_for(within := _without_folder(scope["path"])):
            await v1({**scope, "path": within}, receive, send)
        else:
            path = f"{settings.FORCE_SCRIPT_NAME or ''}{within}"
            await http({**scope, "path": path}, receive, send)

    return application


def _without_folder(path: str) -> str:
    """`path` within Gantry's folder of its host (FORCE_SCRIPT_NAME), which a proxy may have passed on or taken away."""
    folder = settings.FORCE_SCRIPT_NAME or ""
    return path.removeprefix(folder) if path.startswith(f"{folder}/") else path


def from_our_pages(sockets: Application) -> Application:
    """Return `sockets` for Gantry's own pages only: other pages, and clients without an Origin, are refused with 403.

    Many sockets are open for hours. So the scope is emptied, and only what a consumer needs is passed on.
    """
    denied = WebsocketDenier.as_asgi()

    async def checked(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in HEADERS}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        known = validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
        ours = is_ours(origin, host, secure=scope.get("scheme") == "wss")
        cookies = parse_cookie(headers.get(b"cookie", ""))
        kept = {"type": scope["type"], "path": scope["path"], "outgoing": Outgoing(send)}
        kept["session_key"] = cookies.get(settings.SESSION_COOKIE_NAME, "")
        scope.clear()
        await (sockets if known and ours else denied)(kept, receive, send)

    return checked


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        ends = message["type"] == "lifespan.shutdown"
        if ends:  # before the answer: a server that has it ends the loop
            await asyncio.gather(_stop(), calls.drain())
        await send({"type": f"{message['type']}.complete"})
        if ends:
            return


async def _stop() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await dispatcher.stop()
            await counters.flush()
