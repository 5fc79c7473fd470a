"""A Redis that answers and refuses to write: full, a replica, or without its own. Chats and switches go on; it is told."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests
from support.page import Page
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry, free_port

STATES = {
    "full": ("OOM", {"maxmemory-policy": "noeviction", "maxmemory": "1"}, "maxmemory"),
    "read-only": ("READONLY", {}, "primary"),
    "without replicas": ("NOREPLICAS", {"min-replicas-to-write": "1"}, "min-replicas-to-write"),
}


@pytest.fixture
def server(gantry: Gantry) -> Iterator[redis.Redis]:
    """The private Redis of the running Gantry, which is as it was afterwards."""
    path = gantry.folder / "redis.sock"
    if len(str(path)) > 100:
        name = hashlib.sha256(str(gantry.folder).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"gantry-{name}.sock"
    with redis.Redis(unix_socket_path=str(path)) as server:
        yield server
        heal(server)


def refuse(server: redis.Redis, state: str) -> None:
    for name, value in STATES[state][1].items():
        server.config_set(name, value)
    if state == "read-only":
        server.replicaof("127.0.0.1", free_port())


def heal(server: redis.Redis) -> None:
    server.replicaof("NO", "ONE")
    for name in ("maxmemory", "min-replicas-to-write"):
        server.config_set(name, "0")


def checks(gantry: Gantry) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = requests.get(f"{gantry.url}/readyz", timeout=10).json()["checks"]
    return found


def of_redis(page: Page) -> list[dict[str, str]]:
    """What an open page is told is wrong with Redis; the tests before have left other findings."""
    return [each for each in page.backend["findings"] if each["id"] == "redis"]


def seen_lines(gantry: Gantry) -> list[str]:
    """All lines of the log so far that nobody has waited for."""
    lines = []
    while not gantry.lines.empty():
        lines.append(str(gantry.lines.get()))
    gantry.seen += lines
    return lines


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize("state", STATES)
def test_chats_and_switches_go_on_and_the_cause_is_named(
    gantry: Gantry, admin: Person, alice: Person, server: redis.Redis, state: str
) -> None:
    code, _, hint = STATES[state]
    seen_lines(gantry)
    refuse(server, state)
    with alice.page() as chat, admin.watch() as models:
        assert chat.answered(chat.say("Are you there?"))["status"] == "complete"
        answer = admin.switch("beta-8B-Q5")
        assert (answer.status_code, answer.json()) == (
            200,
            {"message": "Model switched to beta-8B-Q5", "model_id": "beta-8B-Q5"},
        )
        models.until(of_redis, "the finding")
        (finding,) = of_redis(models)
        assert finding["title"] == "Redis answers but refuses writes"
        assert finding["detail"].startswith(code)
        assert hint in finding["hint"]
        assert models.backend["worker"]
        until(lambda: not checks(gantry)["redis"]["ok"], "the readiness")
        assert checks(gantry)["redis"]["says"] == "Redis answers but refuses writes"
        assert checks(gantry)["worker"]["ok"]
        assert "Redis answers but refuses writes" in admin.get("/admin/models_admin/tabbymodel/").text
        said = manage(gantry, "doctor").stdout
        assert "✗ Redis answers but refuses writes" in said
        assert "✓ A worker is alive" in said

        heal(server)
        models.until(lambda each: not of_redis(each), "that it is over")
        until(lambda: checks(gantry)["redis"]["ok"], "the readiness")
        assert admin.switch("alpha-7B").status_code == 200
        assert chat.answered(chat.say("And now?"))["status"] == "complete"
    lines = seen_lines(gantry)
    assert not [line for line in lines if "Traceback" in line], "\n".join(lines)
    assert any("Redis answers but refuses writes" in line for line in lines)
    told = [
        line for line in lines if re.search(r"OOM|READONLY|NOREPLICAS|command not allowed|read only", line)
    ]
    assert len(told) <= 4 * len(gantry.children()), (
        "a line a minute for each trouble of a process:\n" + "\n".join(told)
    )


def test_regular_tasks_are_done_without_redis(
    tabby: Tabby, gantry: Gantry, admin: Person, server: redis.Redis
) -> None:
    refuse(server, "read-only")
    with admin.watch() as page:
        tabby.state(loaded="beta-8B-Q5")
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the look at TabbyAPI")
