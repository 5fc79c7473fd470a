"""The web server: `python -m gantry_site.serve`.

It is Daphne on uvloop's event loop, which is late far less when many replies stream. (Daphne's reactor makes the loop
while it is imported, so the policy has to be set before.) The application does not depend on its server: `SERVER=uvicorn`
serves the same one with uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

# Far above the chat's longest message: the application sees one that is too long, and can explain.
LARGEST_FRAME = 1024 * 1024
CLOSE_SECONDS = 3
SWITCH_SECONDS = 0.0005

Application = Callable[[Any, Any, Any], Awaitable[None]]


def last_seconds() -> float:
    """How long a web process may take to end: calls of programs have DRAIN_TIMEOUT."""
    from django.conf import settings  # noqa: PLC0415 (main sets where they are)

    return float(settings.DRAIN_TIMEOUT) + CLOSE_SECONDS


logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status, which is 1 when the server could not listen."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
    from django.conf import settings  # noqa: PLC0415 (after the setting above)

    # The event loop waits this long, and no longer, for a thread that works on the database to let it run.
    sys.setswitchinterval(SWITCH_SECONDS)
    parser = argparse.ArgumentParser(
        prog="python -m gantry_site.serve", description="Serve Gantry's pages and sockets."
    )
    parser.add_argument("--port", type=int, default=settings.PORT)
    parser.add_argument("--bind", default=settings.BIND, metavar="ADDRESS")
    parser.add_argument(
        "--fd", type=int, help="an inherited listening socket, instead of an address and a port"
    )
    parser.add_argument("--pid-file", type=Path, help="where to write this process' id as soon as it serves")
    parser.add_argument("--server", choices=SERVERS, default=getattr(settings, "SERVER", "daphne"))
    chosen = parser.parse_args(argv)
    os.umask(0o077)

    def on_ready() -> None:
        if chosen.pid_file is not None:
            try:
                chosen.pid_file.write_text(str(os.getpid()))
            except OSError as error:  # a full disk ends nothing that does not need it
                logger.warning("%s cannot be written: %s", chosen.pid_file, error.strerror)

    return SERVERS[chosen.server](chosen.bind, chosen.port, chosen.fd, on_ready)


def daphne(bind: str, port: int, fd: int | None, on_ready: Callable[[], None]) -> int:
    """Serve with Daphne until a signal; call `on_ready` when people can connect; return the exit status."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne import http_protocol  # noqa: PLC0415 (after the policy)
    from daphne.server import twisted_loop  # noqa: PLC0415
    from daphne.ws_protocol import WebSocketFactory  # noqa: PLC0415

    from gantry_site.asgi import application  # noqa: PLC0415 (loads Django, which imports Daphne)
    from gantry_site.daphne_requests import BoundedRequest  # noqa: PLC0415 (imports Daphne)
    from gantry_site.daphne_server import PatientServer  # noqa: PLC0415 (imports Daphne)
    from gantry_site.frames import SocketProtocol  # noqa: PLC0415 (imports Daphne)

    WebSocketFactory.protocol = SocketProtocol
    http_protocol.WebRequest = BoundedRequest
    lifespan = Lifespan(application, twisted_loop)

    def serving() -> None:
        lifespan.begin()
        on_ready()

    server = PatientServer(
        tidy_up=lifespan.end,
        application=application,
        endpoints=_daphne_endpoints(bind, port, fd),
        websocket_max_message_size=LARGEST_FRAME,
        websocket_max_frame_size=LARGEST_FRAME,
        http_timeout=None,
        application_close_timeout=CLOSE_SECONDS,
        ready_callable=serving,
        server_name="gantry",
    )
    server.run()
    if server.abort_start:
        sys.stderr.write(f"Nothing could be served on {bind} port {port}: is it taken by another program?\n")
        return 1
    return 0


def _daphne_endpoints(bind: str, port: int, fd: int | None) -> list[str]:
    """Return where Daphne listens, in Twisted's words; have it adopt the inherited socket `fd` where there is one."""
    from daphne import server  # noqa: PLC0415 (after the policy)
    from daphne.endpoints import build_endpoint_description_strings  # noqa: PLC0415
    from twisted.internet.endpoints import AdoptedStreamServerEndpoint  # noqa: PLC0415

    if fd is None:
        return list(build_endpoint_description_strings(host=bind, port=port))
    # Daphne takes any inherited socket for one of IPv4.
    adopted = AdoptedStreamServerEndpoint(server.reactor, fd, _family(fd))  # type: ignore[no-untyped-call]
    server.serverFromString = lambda *_: adopted
    return list(build_endpoint_description_strings(file_descriptor=fd))


def _family(fd: int) -> int:
    """Return the address family of an inherited socket."""
    with socket.socket(fileno=os.dup(fd)) as inherited:
        return inherited.family


class Lifespan:
    """Tells an ASGI application when serving begins and ends, which Daphne leaves out."""

    def __init__(self, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self.application = application
        self.loop = loop
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Announce the beginning, as soon as the loop runs."""
        self.messages.put_nowait({"type": "lifespan.startup"})
        self.task = self.loop.create_task(self._run())

    async def end(self) -> None:
        """Announce the end; it has come when the application has tidied up, or has had its time."""
        self.messages.put_nowait({"type": "lifespan.shutdown"})
        if self.task is not None:
            await asyncio.wait([self.task], timeout=last_seconds())

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        try:
            await self.application(scope, self.messages.get, self._receive)
        except Exception:
            logger.exception("the application failed at its start or its end")

    async def _receive(self, message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            logger.error("%s: %s", message["type"], message.get("message", "no reason given"))


def uvicorn(bind: str, port: int, fd: int | None, on_ready: Callable[[], None]) -> int:
    """Serve with uvicorn, which is among the development requirements; call `on_ready` when people can connect."""
    from uvicorn import Config, Server  # noqa: PLC0415 (may not be installed)

    from gantry_site.asgi import application  # noqa: PLC0415
    from gateway.dispatch import dispatcher as calls  # noqa: PLC0415

    config = Config(
        application,
        host=bind,
        port=port,
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=32 * 1024,
        proxy_headers=False,  # addresses.py decides whom to believe
        ws_max_size=LARGEST_FRAME,
        ws_per_message_deflate=False,  # small frames grow by it, and it costs more than it saves
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )

    class ReportingServer(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if calls.roster.calls:  # they may end; pages and sockets have no such time
                config.timeout_graceful_shutdown = int(last_seconds())
            drained = asyncio.create_task(calls.drain())
            await super().shutdown(sockets)
            await drained

    server = ReportingServer(config)
    # Uvicorn takes any inherited socket for a Unix one.
    server.run([socket.socket(fileno=os.dup(fd))] if fd is not None else None)
    return 0 if server.started else 1


SERVERS: dict[str, Callable[[str, int, int | None, Callable[[], None]], int]] = {
    "daphne": daphne,
    "uvicorn": uvicorn,
}

if __name__ == "__main__":
    sys.exit(main())
