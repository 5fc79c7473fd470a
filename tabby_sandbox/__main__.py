"""`python -m tabby_sandbox`: serve until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from .config import Config, ConfigError, load
from .sandbox import SANDBOX
from .server import build


def main() -> int:
    arguments = _arguments()
    try:
        config = load(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"tabby_sandbox: {error}\n")
        return 2
    try:
        uvloop.run(_serve(config, arguments.host, arguments.port))
    except OSError as error:
        sys.stderr.write(
            f"tabby_sandbox: cannot listen on {arguments.host}:{arguments.port}: {error.strerror}. "
            "Choose another port with --port.\n"
        )
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tabby_sandbox", description="A stand-in for a TabbyAPI server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port; 0 takes a free one (%(default)s)")
    parser.add_argument("--config", type=Path, help="TOML file of models and behaviour (the demo's)")
    return parser.parse_args()


async def _serve(config: Config, host: str, port: int) -> None:
    app = build(config)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    address = runner.addresses[0]
    sys.stdout.write(f"TabbyAPI sandbox on http://{address[0]}:{address[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    # Streams that hang would hold the end back: their connections go first.
    app[SANDBOX].hang_up_all()
    app[SANDBOX].engine.stop()
    await runner.cleanup()


if __name__ == "__main__":
    raise SystemExit(main())
