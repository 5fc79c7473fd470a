"""The suite itself: what runs on which database, what a reset leaves, how many examples are tried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connections
from django.test import Client, TransactionTestCase
from support import examples as tried
from support.preloaded import preloaded
from support.reset import Reset, empty
from support.selection import Scheduler, fixtures
from whitenoise.middleware import WhiteNoiseMiddleware

from chat.models import Conversation

from . import running

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "_django_db_helper", "gantry"}


def test_whatever_uses_a_database_runs_on_each(request: pytest.FixtureRequest) -> None:
    users = [
        item
        for item in request.session.items
        if DATABASE_FIXTURES & set(fixtures(item)) or item.get_closest_marker("django_db")
    ]
    once = {item.nodeid.partition("::")[0] for item in users if not item.get_closest_marker("database")}
    assert {folder.rpartition("/")[0] for folder in once} <= {"tests/browser"}
    assert "tests/browser/test_newcomer.py" not in once


def test_no_two_tests_have_the_same_id(request: pytest.FixtureRequest) -> None:
    ids = [item.nodeid for item in request.session.items]
    assert len(set(ids)) == len(ids)


def test_what_is_pure_runs_once(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("database") is None


def test_a_test_that_is_not_marked_cannot_start_a_gantry(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="marker"):
        running.environment(tmp_path, 8000)


def test_whoever_shares_a_browser_runs_in_one_process(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        unit = Scheduler._split_scope(None, item.nodeid)  # type: ignore[arg-type]
        module = item.nodeid.partition("::")[0]
        shares = {"browser", "_window"} & set(fixtures(item))
        assert unit == module if shares else unit in (item.nodeid, module)


TELLS = """
import os, sys
from django.conf import settings
print(sys.argv[0], sys.path[0], os.getcwd(), settings.DATA_DIR, sys.stdin.read(), __name__)
print(os.environ["TIME_ZONE"], settings.TIME_ZONE, sorted(os.environ), file=sys.stderr)
raise SystemExit(7)
"""


@pytest.mark.database
def test_a_command_that_is_forked_is_as_one_that_is_started(tmp_path: Path) -> None:
    words = ("shell", "--no-imports", "-c", TELLS)
    env = running.environment(tmp_path, 8000, TIME_ZONE="Asia/Tokyo")
    started = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=running.ROOT, env=env, text=True, stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip
    forked = preloaded.manage(*words, env=env)
    assert started.returncode == 7, started.stderr
    assert (forked.returncode, forked.stdout, forked.stderr) == (7, started.stdout, started.stderr)


def test_a_reset_deletes_what_was_made_and_nothing_of_djangos(transactional_db: None) -> None:
    Conversation.objects.create(owner=User.objects.create_user("alice"))
    group = Group.objects.create(name="operators")
    group.permissions.set(Permission.objects.all()[:3])
    permissions = Permission.objects.count()
    empty(connections["default"])
    assert not User.objects.exists()
    assert not Conversation.objects.exists()
    assert not Group.objects.exists()
    assert Permission.objects.count() == permissions > 0


def test_a_reset_flushes_what_is_djangos_only_where_it_has_changed(transactional_db: None) -> None:
    flushes: list[TransactionTestCase] = []
    reset, case = Reset(flushes.append), TransactionTestCase()
    for _ in range(3):
        reset(case)
    assert len(flushes) == 1, "the first one, which shows what Django makes"
    Permission.objects.filter(codename="add_user").delete()
    reset(case)
    assert len(flushes) == 2


def test_static_files_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Client().get("/healthz")
    monkeypatch.setattr(WhiteNoiseMiddleware, "add_file_to_dictionary", None)
    served = Client().get("/static/chat/chat.css")
    assert served.status_code == 200
    served.close()


@pytest.mark.parametrize(("by_night", "by_day"), [(1000, 250), (60, 30)])
def test_more_is_tried_by_night(monkeypatch: pytest.MonkeyPatch, by_night: int, by_day: int) -> None:
    monkeypatch.setattr(tried, "NIGHTLY", False)
    assert (tried.examples(by_night), len(tried.moments(7200))) == (by_day, 120)
    monkeypatch.setattr(tried, "NIGHTLY", True)
    assert (tried.examples(by_night), len(tried.moments(7200))) == (by_night, 1440)
