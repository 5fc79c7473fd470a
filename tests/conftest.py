"""What all groups of tests share: the fixtures of a running Gantry, which starts when the first test asks for it."""

from __future__ import annotations

import shutil
import signal
import tempfile

import pytest
from django.conf import settings

pytest_plugins = [
    "support.preloaded",
    "support.system",
    "support.selection",
    "support.reset",
    "support.examples",
    "support.chromium",
]


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what holds for all tests."""
    _interruptible()
    _database_in_a_file(config)
    # A password of a test is hashed at once. The running system hashes as ever.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


def _interruptible() -> None:
    """A shell that starts this in the background may have SIGINT ignored, which what tests start would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _database_in_a_file(config: pytest.Config) -> None:
    """SQLite's shared memory refuses, at once, whoever meets another's lock."""
    database = settings.DATABASES["default"]
    test = database.setdefault("TEST", {})
    if "sqlite" in database["ENGINE"] and not test.get("NAME"):
        folder = tempfile.mkdtemp(prefix="gantry-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        test["NAME"] = f"{folder}/test.sqlite3"
