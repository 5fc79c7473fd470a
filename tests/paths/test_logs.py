"""Log lines as JSON: every one from every process, with the ids of request and switch, and nobody's words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.people import Person
from support.tabby import ADMIN_KEY, running
from system.running import ROOT, Gantry, until

PASSWORD = "the-administrators-password"
SECRET = "my grandmother's recipe"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All that a Gantry wrote while a message was answered and models were switched."""
    with running(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        settings = {
            "TABBY_HOST": tabby.url,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "GANTRY_ADMIN_PASSWORD": PASSWORD,
            "LOG_FORMAT": "json",
        }
        with InJson(tmp_path_factory.mktemp("gantry"), **settings) as gantry:
            # Until it takes tasks, the worker finds switches by itself, and knows nothing of requests.
            until(lambda: takes_tasks(gantry), "a worker that takes tasks")
            admin = Person(gantry.url, "admin", PASSWORD)
            with admin.page() as page:
                page.answered(page.say(f"[[echo]]{SECRET}"))
            admin.get(f"/api/conversations/search?q={SECRET}")
            answer = admin.switch("beta-8B-Q5", **{"X-Request-ID": "from-the-proxy.1"})
            assert answer.headers["X-Request-ID"] == "from-the-proxy.1"
            forged = admin.call("GET", "/api/models", **{"X-Request-ID": 'x" , "level": "CRITICAL'})
            assert re.fullmatch(r"[0-9a-f]{16}", forged.headers["X-Request-ID"])
            assert admin.switch("huge-70B").status_code == 502
            gantry.end()
            gantry.reader.join()
            while (line := gantry.lines.get()) is not None:
                gantry.seen.append(line)
    return [json.loads(line) for line in gantry.seen]


def takes_tasks(gantry: Gantry) -> bool:
    ping = [sys.executable, "-m", "celery", "-A", "gantry_site", "inspect", "ping"]
    return subprocess.run(ping, env=gantry.env, cwd=ROOT, capture_output=True, check=False).returncode == 0


class InJson(Gantry):
    """Its banner is JSON too."""

    def line(self, pattern: str) -> re.Match[str]:
        return super().line(pattern.replace("/$", '/"').replace("(.+)$", '([^"]+)"'))


def test_every_line_is_an_event(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert {"web", "worker"} <= {line.get("process") for line in lines}


def test_a_click_can_be_followed_into_the_worker(lines: list[dict[str, Any]]) -> None:
    mine = [line for line in lines if line.get("request_id") == "from-the-proxy.1"]
    (asked,) = [line for line in mine if "asked for beta-8B-Q5" in line["message"]]
    assert asked["process"] == "web"
    (done,) = [line for line in mine if line["logger"] == "gantry.access"]
    assert (done["method"], done["path"], done["status"]) == ("POST", "/api/admin/models/switch", 200)
    steps = [line for line in mine if line["process"] == "worker"]
    assert any("succeeded" in line["message"] for line in steps), mine
    assert {line["switch_id"] for line in steps if "switch_id" in line} == {1}


def test_a_failure_is_there_with_its_switch(lines: list[dict[str, Any]]) -> None:
    failed = [line for line in lines if line.get("switch_id") == 2 and line["level"] == "WARNING"]
    assert any("CUDA out of memory" in line["message"] for line in failed)


def test_nobodys_words_or_keys_are_there(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    text = json.dumps(lines, ensure_ascii=False)
    for hidden in (SECRET, "recipe", ADMIN_KEY, "session_id="):
        assert hidden not in text
