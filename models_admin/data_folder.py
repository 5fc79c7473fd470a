"""Whether the data folder can be used, told in a sentence that names folder and user. It reads no settings: they ask it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from pathlib import Path


def user() -> str:
    """The name of the user that this process runs as, or its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"number {os.geteuid()}"


def refusal(folder: Path, error: OSError) -> str:
    """Say that `folder`, or what `error` names in it, cannot be used, by whom, and what to do."""
    what = error.filename or folder
    return (
        f"The data folder {folder} cannot be written by the user {user()} ({what}: {error.strerror}). "
        f"Let it belong to that user, make room where its disk is full, or set GANTRY_DATA_DIR to another folder."
    )


def make(folder: Path, kept: Iterable[str] = ()) -> None:
    """Make `folder` where it is missing. Raises OSError unless files can be made in it, and those in `kept` be written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder, *(folder / name for name in kept if (folder / name).exists())):
        if not os.access(path, os.W_OK | (os.X_OK if path == folder else 0)):
            reason = "read-only, or somebody else's"
            raise PermissionError(13, reason, str(path))
