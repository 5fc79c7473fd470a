"""`manage.py doctor`, the checks and /readyz, on a system that is well and on broken ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import requests
from support.people import Person
from support.system import manage
from support.tabby import ADMIN_KEY, ROOT, Tabby, until
from system.running import Gantry, free_port

API_KEY = "the-api-key-of-the-tests"
DEAD = "127.0.0.1:9"


def examined(gantry: Gantry, **settings: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """doctor's exit status, its findings by id, and all that it wrote."""
    ended = manage(gantry, "doctor", "--json", **settings)
    found = json.loads(ended.stdout)
    assert found["ok"] == (ended.returncode == 0)
    return ended.returncode, {each["id"]: each for each in found["findings"]}, ended.stdout + ended.stderr


def test_a_system_that_is_well(tabby: Tabby, gantry: Gantry) -> None:
    ended = manage(gantry, "doctor")
    assert ended.returncode == 0, ended.stdout
    lines = ended.stdout.splitlines()
    assert [line[0] for line in lines[:9]] == ["✓"] * 9, ended.stdout
    for words in (
        "database answers",
        "Redis answers",
        "worker is alive",
        "TabbyAPI answers",
        "may switch models",
    ):
        assert words in ended.stdout


@pytest.mark.parametrize(
    ("settings", "broken", "words"),
    [
        ({"TABBY_HOST": f"http://{DEAD}"}, "tabbyapi", "cannot be reached"),
        ({"TABBY_ADMIN_KEY": "wrong-and-secret"}, "key", "refuses the key"),
        ({"TABBY_ADMIN_KEY": API_KEY}, "key", "may not switch models"),
        ({"TABBY_ADMIN_KEY": ""}, "key", "No key for TabbyAPI is set"),
        ({"REDIS_URL": f"redis://:hidden-password@{DEAD}/0"}, "redis", "Redis does not answer"),
        ({"DATABASE_URL": f"postgres://gantry:hidden-password@{DEAD}/x"}, "database", "does not answer"),
    ],
    ids=["unreachable", "wrong key", "API key", "no key", "no redis", "no database"],
)
def test_what_is_broken_is_named(
    tabby: Tabby, gantry: Gantry, settings: dict[str, str], broken: str, words: str
) -> None:
    status, found, written = examined(gantry, **settings)
    assert status == 1
    assert found[broken]["level"] == "error"
    assert words in found[broken]["title"] + found[broken]["detail"]
    assert found[broken]["hint"]
    for secret in (ADMIN_KEY, API_KEY, "wrong-and-secret", "hidden-password"):
        assert secret not in written


def test_a_database_without_tables(tabby: Tabby, gantry: Gantry, tmp_path: Any) -> None:
    status, found, _ = examined(gantry, DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert status == 1
    assert "have not been applied" in found["migrations"]["title"]
    assert found["tabbyapi"]["level"] == "ok"


def test_an_empty_folder_and_a_model_that_changes_by_itself(
    tabby: Tabby, gantry: Gantry, admin: Person
) -> None:
    tabby.state(models=[])
    _, found, _ = examined(gantry)
    assert found["models"]["level"] == "warning"
    assert '/v1/models it answers {"object":"list","data":[]}' in found["models"]["detail"]
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    page = admin.get("/admin/models_admin/tabbymodel/").text
    assert "TabbyAPI lists no models." in page
    assert "/v1/models it answers {&quot;object&quot;" in page
    tabby.reset()
    with admin.watch() as page:
        tabby.state(loaded="beta-8B-Q5")
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the change")
        _, found, _ = examined(gantry)
        assert found["outside"]["level"] == "warning"
        assert "inline_model_loading" in found["outside"]["hint"]
        page.until(lambda each: [f["id"] for f in each.backend["findings"]] == ["outside"], "the finding")
    assert "inline_model_loading" in admin.get("/admin/models_admin/tabbymodel/").text


def ready(gantry: Gantry, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = requests.get(f"{gantry.url}/readyz{query}", timeout=30)
    return answer.status_code, answer.json()


def test_readiness_names_each_part(tabby: Tabby, gantry: Gantry) -> None:
    until(lambda: ready(gantry)[1]["status"] == "ok", "a Gantry that is ready")
    status, known = ready(gantry, "?all")
    assert (status, known["ready"]) == (200, True)
    assert set(known["checks"]) == {"database", "disk", "redis", "worker", "tabbyapi"}
    assert all(each["ok"] for each in known["checks"].values())


def test_without_a_worker_it_is_ready_and_degraded(tabby: Tabby, gantry: Gantry) -> None:
    worker = gantry.children()["worker"]
    os.kill(worker, signal.SIGSTOP)
    try:
        until(lambda: not ready(gantry)[1]["checks"]["worker"]["ok"], "the worker's absence")
        assert ready(gantry)[0] == 200
        assert ready(gantry)[1]["status"] == "degraded"
        assert ready(gantry, "?all")[0] == 503
        status, found, _ = examined(gantry)
        assert (status, found["worker"]["level"]) == (1, "error")
    finally:
        os.kill(worker, signal.SIGCONT)
    until(lambda: ready(gantry)[1]["status"] == "ok", "the worker's return")


def test_without_a_database_it_is_not_ready(gantry: Gantry) -> None:
    """A web process of its own, whose database never answers."""
    port = free_port()
    env = {**gantry.env, "DATABASE_URL": f"postgres://gantry:hidden-password@{DEAD}/x"}
    argv = [sys.executable, "-m", "gantry_site.serve", f"--port={port}"]
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as web:
        try:
            until(lambda: gantry.serves(port), "the web process")
            answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=60)
            assert answer.status_code == 503
            assert answer.json()["status"] == "down"
            assert not answer.json()["checks"]["database"]["ok"]
            assert answer.json()["checks"]["redis"]["ok"]
            assert "hidden-password" not in answer.text
        finally:
            web.kill()


def test_checks_need_no_network(tabby: Tabby, gantry: Gantry) -> None:
    assert manage(gantry, "check", TABBY_HOST=f"http://{DEAD}").returncode == 0
    bad = manage(gantry, "check", TABBY_HOST="ftp://x", REFRESH_INTERVAL="0", DRAIN_TIMEOUT="-1")
    assert bad.returncode == 1
    for number in ("gantry.E001", "gantry.E003", "gantry.E004"):
        assert number in bad.stderr


def test_a_check_of_the_database_says_what_was_seen_of_tabbyapi(
    tabby: Tabby, gantry: Gantry, admin: Person
) -> None:
    with admin.watch() as page:
        tabby.state(models=[])
        page.until(lambda each: "models" in [f["id"] for f in each.backend["findings"]], "the finding")
    seen = manage(gantry, "check", "--database", "default")
    assert seen.returncode == 0
    assert "(gantry.models) TabbyAPI lists no models" in seen.stderr
    assert "HINT: Put a model's directory" in seen.stderr
