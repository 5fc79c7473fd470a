"""What the pages' scripts decide without a page: `node --test` runs *.test.mjs, as one test of the suite."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPTS = sorted(path for room in ("chat", "models_admin") for path in (ROOT / room / "static").rglob("*.js"))
CHECKED = [*SCRIPTS, *HERE.glob("*.mjs")]
HOW_TO_GET_IT = "no node here: apt-get install nodejs"


def test_their_logic() -> None:
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_GET_IT)
    tests = sorted(HERE.glob("*.test.mjs"))
    assert tests
    done = subprocess.run(
        [node, "--test", *map(str, tests)], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_is_checked_and_has_short_lines(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == "// @ts-check"
    assert [line for line in lines if len(line) >= 120] == []
