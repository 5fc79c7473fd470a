"""The web server: `python -m gantry_site.serve`.

Daphne on uvloop's event loop, which takes most of its delay away when many replies stream. (Its reactor
builds the loop while it is imported, so the policy has to be set before.) The application does not depend on
its server: `SERVER=uvicorn` serves the same one with uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import uvloop

# Far above the chat's longest message: the application sees one that is too long, and can explain.
LARGEST_FRAME = 1024 * 1024
CLOSE_SECONDS = 3


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status: 1 when it could not listen."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
    from django.conf import settings  # noqa: PLC0415 (after the setting above)

    parser = argparse.ArgumentParser(
        prog="python -m gantry_site.serve", description="Serve Gantry's pages and sockets."
    )
    parser.add_argument("--port", type=int, default=settings.PORT)
    parser.add_argument("--bind", default=settings.BIND, metavar="ADDRESS")
    parser.add_argument(
        "--fd", type=int, help="an inherited listening socket, instead of an address and a port"
    )
    parser.add_argument("--server", choices=SERVERS, default=getattr(settings, "SERVER", "daphne"))
    chosen = parser.parse_args(argv)
    return SERVERS[chosen.server](chosen.bind, chosen.port, chosen.fd)


def daphne(bind: str, port: int, fd: int | None) -> int:
    """Serve with Daphne."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.endpoints import build_endpoint_description_strings  # noqa: PLC0415 (after the policy)
    from daphne.server import Server, twisted_loop  # noqa: PLC0415

    from gantry_site import asgi  # noqa: PLC0415 (loads Django, which imports Daphne)

    where = {"file_descriptor": fd} if fd is not None else {"host": bind, "port": port}
    server = Server(
        application=asgi.application,
        endpoints=build_endpoint_description_strings(**where),
        websocket_max_message_size=LARGEST_FRAME,
        websocket_max_frame_size=LARGEST_FRAME,
        http_timeout=None,
        application_close_timeout=CLOSE_SECONDS,
        ready_callable=lambda: twisted_loop.call_soon(_started, asgi),
        server_name="gantry",
    )
    server.run()
    if server.abort_start:
        sys.stderr.write(f"Nothing could be served on {bind} port {port}: is it taken by another program?\n")
        return 1
    return 0


def uvicorn(bind: str, port: int, fd: int | None) -> int:
    """Serve with uvicorn, which is among the development requirements."""
    from uvicorn import Config, Server  # noqa: PLC0415 (may not be installed)

    from gantry_site import asgi  # noqa: PLC0415

    class Hooked(Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            _started(asgi)

    config = Config(
        asgi.application,
        host=bind,
        port=port,
        fd=fd,
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_max_size=LARGEST_FRAME,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    server = Hooked(config)
    server.run()
    return 0 if server.started else 1


def _started(module: ModuleType) -> None:
    """Tell the application, in the loop that it will run in, that this process serves from now on."""
    hook = getattr(module, "started", None)
    if hook is not None:
        hook()


SERVERS: dict[str, Callable[[str, int, int | None], int]] = {"daphne": daphne, "uvicorn": uvicorn}

if __name__ == "__main__":
    sys.exit(main())
