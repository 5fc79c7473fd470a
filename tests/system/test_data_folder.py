"""A data folder that cannot be written: every command says so in a sentence, and ends."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings
from support.disks import on_a_disk

from models_admin.ops import foundations

from .running import PATIENCE, ROOT, environment, free_port

COMMANDS = {
    "doctor": (sys.executable, "manage.py", "doctor"),
    "up": (sys.executable, "manage.py", "up"),
    "models": (sys.executable, "manage.py", "models"),
    "createsuperuser": (sys.executable, "manage.py", "createsuperuser"),
    "serve": (sys.executable, "-m", "gantry_site.serve"),
    "worker": (sys.executable, "-m", "celery", "-A", "gantry_site", "worker"),
}
ELSEWHERE = {"SECRET_KEY": "chosen-" * 8, "DATABASE_URL": "postgres://gantry@127.0.0.1:9/gantry"}


def told(argv: tuple[str, ...], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder, free_port(), **{"DATABASE_URL": "", **settings})
    return subprocess.run(
        argv, cwd=ROOT, env=env, text=True, capture_output=True, timeout=PATIENCE, check=False
    )


def assert_a_sentence(ended: subprocess.CompletedProcess[str], folder: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    words = ended.stderr.strip()
    assert words.removeprefix("CommandError: ").startswith(
        f"The data folder {folder} cannot be written by the user {me} ("
    )
    assert len(words.splitlines()) == 1
    assert ended.returncode == 1


class TestAFolderThatCannotBeWritten:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_says_so_in_one_sentence(self, name: str, tmp_path: Path) -> None:
        assert_a_sentence(told(on_a_disk(tmp_path, "ro", *COMMANDS[name]), tmp_path), tmp_path)

    def test_a_file_in_its_place_is_told_too(self, tmp_path: Path) -> None:
        (tmp_path / "data").touch()
        assert_a_sentence(told(COMMANDS["doctor"], tmp_path / "data"), tmp_path / "data")

    def test_up_needs_it_also_where_database_and_key_are_elsewhere(self, tmp_path: Path) -> None:
        assert_a_sentence(told(on_a_disk(tmp_path, "ro", *COMMANDS["up"]), tmp_path, **ELSEWHERE), tmp_path)

    def test_other_commands_do_not_need_it_then(self, tmp_path: Path) -> None:
        argv = (sys.executable, "manage.py", "check")
        ended = told(on_a_disk(tmp_path, "ro", *argv), tmp_path, **ELSEWHERE)
        assert ended.returncode == 0, ended.stderr

    def test_the_doctor_names_the_user(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "data").touch()
        settings.DATA_DIR, settings.DATA_DIR_NEEDED = tmp_path / "data", False
        assert foundations.disk().level == "warning"
        settings.DATA_DIR_NEEDED = True
        found = foundations.disk()
        assert found.level == "error"
        assert f"by the user {pwd.getpwuid(os.geteuid()).pw_name}" in found.title
