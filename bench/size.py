"""`make size`: how Gantry answers with a million messages and 100,000 switches, beside a database with hardly anything.

    python -m bench.size [--messages 1000000] [--switches 100000] [--quick]
    bin/with-postgres python -m bench.size

Each of the two is a whole system of its own: web process, worker, beat, Redis and sandbox. Every page and every call
that reads is asked three times, as an administrator who wrote a tenth of the messages; the table has the fastest. What is
sent while it is made has two times: to its first bytes, and to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from statistics import median
from typing import Any

import aiohttp
import requests

from bench.stream import say, table
from bench.stream_people import _session, fresh_pages, visitors
from bench.stream_processes import ROOT
from bench.stream_system import System, running

IDLE_SECONDS = 20.0
TOKENS = 15  # first tokens that are measured
TRIES = 3
HARDLY = {"messages": 480, "switches": 100, "users": 5, "long": 96, "tokens": 5, "requests": 5}


def main() -> int:
    """Measure both, and print two tables."""
    chosen = _arguments()
    if chosen.one:
        print(json.dumps(_measured(json.loads(chosen.one))))
        return 0
    full = {"messages": chosen.messages, "switches": chosen.switches}
    if chosen.quick:
        full = {"messages": 50_000, "switches": 5_000}
    small, large = (_apart(each) for each in (HARDLY, full))
    say(f"{full['messages']:,} messages and {full['switches']:,} switches, made in {large['seeded']:.0f} s")
    heads = ["", "hardly anything", "all of it"]
    table(heads, [[what, f"{small[key]:{form}}", f"{large[key]:{form}}"] for what, key, form in FIGURES])
    rows = [
        [path, f"{small['pages'][path][1]:.0f}", *(f"{ms:.0f}" for ms in large["pages"][path])]
        for path in small["pages"]
    ]
    table(["ms", "hardly anything", "all: first bytes", "all: whole"], rows)
    return 0


FIGURES = (
    ("first token, ms, median", "first_token", ".1f"),
    ("idle web process with one page open, % of a core", "idle", ".2f"),
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--switches", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of it: to see that it works")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _apart(size: dict[str, int]) -> dict[str, Any]:
    """Measure one database in a process of its own: Django settles for one in each."""
    argv = [sys.executable, "-m", "bench.size", "--one", json.dumps(size)]
    done = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _measured(size: dict[str, int]) -> dict[str, Any]:
    with running() as system:
        from django.core.management import call_command  # noqa: PLC0415 (Django is set up by now)
        from django.db import connection  # noqa: PLC0415

        from bench import size_rows  # noqa: PLC0415

        call_command("flush", interactive=False, verbosity=0)  # of PostgreSQL, which the two share
        begun = time.monotonic()
        reader = size_rows.seed(size_rows.Size(**size))
        seeded = time.monotonic() - begun
        if connection.vendor == "sqlite":  # as a database that has grown over years: not all of it in its log
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        system.start_web()
        people = visitors(TOKENS)
        first_token, idle = asyncio.run(_live(system, fresh_pages(people, TOKENS)))
        session = requests.Session()
        session.cookies.set("session_id", _session(reader))
        pages = {
            name: _asked(session, f"http://127.0.0.1:{system.port}{path}") for name, path in _pages(reader)
        }
        return {"seeded": seeded, "first_token": first_token, "idle": idle, "pages": pages}


async def _live(system: System, pages: list[tuple[str, str]]) -> tuple[float, float]:
    """Return the milliseconds to the first token, and the percentage of a core of a web process with nothing to do."""
    async with aiohttp.ClientSession() as client:
        tokens = [await _first_token(client, system, *page) for page in pages]
        path, cookie = pages[0]
        async with client.ws_connect(_url(system, path), headers=_headers(system, cookie)):
            await asyncio.sleep(2)
            before, begun = system.web.cpu(), time.monotonic()
            await asyncio.sleep(IDLE_SECONDS)
            idle = (system.web.cpu() - before) / (time.monotonic() - begun)
    return 1000 * median(tokens[2:]), 100 * idle


def _url(system: System, path: str) -> str:
    return f"ws://127.0.0.1:{system.port}{path}"


def _headers(system: System, cookie: str) -> dict[str, str]:
    return {"Cookie": f"session_id={cookie}", "Origin": f"http://127.0.0.1:{system.port}"}


async def _first_token(client: aiohttp.ClientSession, system: System, path: str, cookie: str) -> float:
    async with client.ws_connect(_url(system, path), headers=_headers(system, cookie)) as page:
        await page.receive_json()  # the hello
        begun = time.monotonic()
        await page.send_json({"type": "send", "client_id": str(uuid.uuid4()), "text": "[[tokens=5 rate=50]]"})
        while (await page.receive_json())["type"] != "delta":
            pass
        took = time.monotonic() - begun
        while (await page.receive_json()).get("message", {}).get("status") != "complete":
            pass
        return took


def _pages(reader: Any) -> Iterator[tuple[str, str]]:
    """All pages and calls that read, with a name each: the address, with what differs left out."""
    from chat.models import Conversation  # noqa: PLC0415
    from models_admin.models import Switch, TabbyModel  # noqa: PLC0415

    longest = Conversation.objects.order_by("pk")[0]
    latest = Conversation.objects.filter(owner=reader).order_by("-updated_at")[0]
    switch, model = Switch.objects.latest("pk").pk, TabbyModel.objects.latest("pk").pk
    for path in (
        "/", "/c/{latest}/", "/c/{longest}/", "/api/conversations", "/api/conversations?limit=200",
        "/api/conversations/{longest}", "/api/conversations/{longest}/messages?before={head}",
        "/api/conversations/search?q=the", "/api/conversations/search?q=bake pla", "/api/conversations/search?q=Größe ÄPFEL",
        "/api/conversations/search?q=nothingofthekind", "/api/conversations/search?q=größenordnung",
        "/api/conversations/{longest}/export.md", "/api/conversations/{longest}/export.json",
        "/api/models", "/api/models/active", "/api/models/requests", "/api/admin/models", "/api/admin/switches",
        "/api/admin/switches?limit=200", "/api/admin/switches/{switch}", "/admin/", "/admin/models_admin/tabbymodel/",
        "/admin/models_admin/tabbymodel/{model}/change/", "/admin/models_admin/tabbymodel/{model}/switch/",
        "/admin/models_admin/tabbymodel/unload/", "/admin/models_admin/switch/", "/admin/models_admin/switch/?p=2",
        "/admin/models_admin/switch/?q=vram", "/admin/models_admin/switch/?q=nothing", "/admin/models_admin/switch/?o=2",
        "/admin/models_admin/switch/?state__exact=failed", "/admin/models_admin/switch/?target=model-1-13B",
        "/admin/models_admin/switch/{switch}/change/", "/admin/models_admin/switch/{switch}/history/",
        "/admin/models_admin/switch/export/", "/admin/models_admin/switch/plots/", "/admin/models_admin/token/",
        "/admin/models_admin/modelrequest/?state=all", "/admin/models_admin/rule/", "/admin/auth/user/",
        "/admin/auth/user/{reader}/change/", "/admin/auth/user/{reader}/delete/", "/readyz", "/metrics",
    ):  # fmt: skip
        where = {"head": longest.head_id, "switch": switch, "model": model, "reader": reader.pk}
        yield path, path.format(longest=longest.pk, latest=latest.pk, **where)


def _asked(session: requests.Session, url: str) -> tuple[float, float]:
    """Return the milliseconds to the first bytes and to the end of the answer, of the fastest of TRIES."""
    times = []
    for _ in range(TRIES):
        begun = time.monotonic()
        with session.get(url, stream=True, timeout=120) as answer:
            answer.raise_for_status()
            parts = answer.iter_content(None)
            next(parts, b"")
            first = time.monotonic() - begun
            for _part in parts:
                pass
        times.append((1000 * first, 1000 * (time.monotonic() - begun)))
    return min(times, key=lambda each: each[1])


if __name__ == "__main__":
    sys.exit(main())
