"""The same calls of programs at TabbyAPI itself, through nginx, and through Gantry: one run of each, and what came of it."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench import gateway_client
from bench.gateway_client import Connection
from bench.stream_cases import Case, Run, judged, marked
from bench.stream_people import Visitor
from bench.stream_processes import Process
from bench.stream_system import KEY, WEB_CORE, System

EVERY = 0.02  # seconds between two questions for the models
NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Side:
    """A way to the model: the address that is called, the keys of its callers, and the process that is in between."""

    name: str
    address: str
    keys: list[str]
    process: Process | None


@dataclass
class Rounds:
    """The runs of each side."""

    runs: dict[str, list[Run]] = field(default_factory=dict)

    def of(self, side: str, figure: Any) -> float | None:
        """The median over the rounds of one side's figure; None where the side is not there."""
        found = self.runs.get(side)
        return float(median(figure(run) for run in found)) if found else None


def keys(people: list[Visitor]) -> list[str]:
    """Make an API token for each of these people."""
    from django.contrib.auth.models import User  # noqa: PLC0415 (Django is set up by now)
    from django.db import transaction  # noqa: PLC0415

    from models_admin.api import tokens  # noqa: PLC0415

    users = User.objects.in_bulk([each.user for each in people])
    with transaction.atomic():
        return [tokens.make(users[each.user], "bench", [tokens.Scope.CHAT])[1] for each in people]


def start_nginx(system: System) -> Side | None:
    """Start nginx in front of TabbyAPI, on the web process' core; None where there is none on this machine."""
    from gantry_site.children import free_port  # noqa: PLC0415 (Django is set up by now)

    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        return None
    folder, port = system.folder / "nginx", free_port()
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, upstream=system.sandbox.url))
    argv = [binary, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
    process = system.spawn("nginx", argv, WEB_CORE)
    time.sleep(1.0)
    process.check()
    return Side("nginx", f"127.0.0.1:{port}", [KEY], process)


def direct(system: System) -> Side:
    """TabbyAPI itself."""
    return Side("direct", system.sandbox.url.removeprefix("http://"), [KEY], None)


def through(system: System, tokens: list[str]) -> Side:
    """Gantry, as its web process is now."""
    return Side("through", f"127.0.0.1:{system.port}", tokens, system.web)


async def streams(system: System, case: Case, side: Side) -> Run:
    """Read all streams of `case` on this side."""
    mark = marked()
    system.sandbox.forget()
    before = side.process.cpu() if side.process else 0.0

    async def one(number: int) -> gateway_client.Answer:
        await asyncio.sleep(number * case.spread / case.streams)
        key = side.keys[number % len(side.keys)]
        return await gateway_client.chat(side.address, key, case.text(f"{mark}number {number}."))

    profiled = side.process is system.web and not case.warms
    with system.profiled() if profiled else nullcontext():
        answers = await asyncio.gather(*(one(number) for number in range(case.streams)))
    spent = side.process.cpu() - before if side.process else 0.0
    system.check()
    taken = [gateway_client.taken(each) for each in answers]
    run = judged(system, case, mark, taken)
    run.cpu_per_1000 = spent / sum(each.tokens for each in taken) * 1000
    return run


def measure(system: System, case: Case, sides: list[Side], rounds: int, run: Any) -> Rounds:
    """Run `case` on all sides in turn (A B C, C B A, …), `run` being an asyncio.Runner's."""
    found = Rounds()
    for number in range(rounds):
        for side in sides[:: 1 if number % 2 == 0 else -1]:
            time.sleep(0.5)
            found.runs.setdefault(side.name, []).append(run(streams(system, case, side)))
    return found


async def models(side: Side, until: asyncio.Future[Any]) -> list[float]:
    """Ask for the models again and again, until `until` is done; return how long each answer took, in seconds."""
    connection = await Connection.open(side.address)
    took = []
    try:
        while not until.done():
            begun = time.monotonic()
            answer = await connection.ask("/v1/models", side.keys[0])
            if answer.status != 200:
                raise RuntimeError(f"/v1/models answers {answer.status}: {answer.body[:300]!r}")
            took.append(answer.seconds)
            await asyncio.sleep(max(0.0, begun + EVERY - time.monotonic()))
    finally:
        connection.close()
    await until
    return took
