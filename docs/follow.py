"""Follows docs/operations.md to the letter, in an empty folder: `make operations`.

All `sh` blocks are run in one shell that ends at the first command that fails. Two sandboxes with keys play TabbyAPI, and
this checkout is the repository. Needs git, make, curl, openssl, nginx, and the ports 8000 to 8002 and 8443.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests know how to run a sandbox

from support.tabby import ADMIN_KEY, running  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
MODEL = "beta-8B-Q5"
KEPT = ("PATH", "HOME", "LANG", "TERM")  # of this environment, and what pip needs to find its packages
END = """\
end() {
  [ ! -e var/run/up.lock ] || kill "$(cat var/run/up.lock)" || true
  [ ! -e tls/nginx.pid ] || nginx -p "$PWD/tls" -c nginx.conf -s quit || true
} 2>/dev/null
trap end EXIT
"""


def main() -> int:
    """Run all blocks; return the shell's exit status."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    own = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("PIP_")}
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as models,
        tempfile.TemporaryDirectory() as more_models,
        running(Path(models)) as (tabby, _),
        running(Path(more_models)) as (second, _),
    ):
        given = {
            "REPOSITORY": str(ROOT),
            "TABBY_HOST": tabby.url,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "MODEL": MODEL,
            "SECOND_HOST": second.url,
        }
        # Of the shell alone: in the environment they would win over .env.
        variables = [f"{name}={shlex.quote(value)}" for name, value in given.items()]
        script = "\n".join(["set -euo pipefail", END, *variables, "set -x", *blocks])
        shell = ["bash", "-c", script]
        status = subprocess.run(shell, cwd=folder, env=own, check=False).returncode
    sys.stdout.write(f"{len(blocks)} blocks of {PAGE.name}: exit status {status}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
