"""What all groups of tests share: the fixtures of a running Gantry, which starts when the first test asks for it."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from django.conf import settings

pytest_plugins = ["support.system"]

# Tests that share what is slow to start run one after the other in one process; the groups run side by side (make test).
SHARED = {"browser": "gantry", "paths": "gantry"}


def pytest_configure() -> None:
    """A shell that starts this in the background may have SIGINT ignored, which what tests start would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each folder of tests, or what it shares with another, a process."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        item.add_marker(pytest.mark.xdist_group(SHARED.get(folder, folder)))
    _database_in_a_file(config)


def _database_in_a_file(config: pytest.Config) -> None:
    """SQLite's shared memory refuses, at once, whoever meets another's lock."""
    database = settings.DATABASES["default"]
    test = database.setdefault("TEST", {})
    if "sqlite" in database["ENGINE"] and not test.get("NAME"):
        folder = tempfile.mkdtemp(prefix="gantry-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        test["NAME"] = f"{folder}/test.sqlite3"
