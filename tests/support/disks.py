"""A data folder on a disk of its own, small or read-only, which is seen by one process and its children alone."""

from __future__ import annotations

import os
from pathlib import Path

_MOUNTED = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'


def on_a_disk(folder: Path, options: str, *argv: str) -> tuple[str, ...]:
    """Return the command that runs `argv` with a new tmpfs, mounted with `options`, in the place of `folder`.

    It is gone with the process. Others see it below seen_by().
    """
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", "--mount", *root, "sh", "-c", _MOUNTED, options, str(folder), *argv)


def seen_by(pid: int, folder: Path) -> Path:
    """The place at which this process finds what the process `pid` has at `folder`."""
    return Path(f"/proc/{pid}/root{folder}")
