"""The data folder: making it, the secret in it, and the sentence for one that cannot be used.

The settings import this module, so it reads none of them.
"""

from __future__ import annotations

import os
import pwd
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path


def user() -> str:
    """Return the name of the user that this process runs as, or “number N” where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"number {os.geteuid()}"


def refusal(folder: Path, error: OSError) -> str:
    """Return a sentence: that this user cannot write `folder`, or the file that `error` names in it, and what to do."""
    what = error.filename or folder
    return (
        f"The data folder {folder} cannot be written by the user {user()} ({what}: {error.strerror}). "
        f"Let it belong to that user, make room where its disk is full, or set GANTRY_DATA_DIR to another folder."
    )


def make(folder: Path, kept: Iterable[str] = ()) -> None:
    """Make `folder` (mode 700) where it is missing.

    Raises OSError unless files can be made in it, and those of the names `kept` that exist can be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder, *(folder / name for name in kept if (folder / name).exists())):
        if not os.access(path, os.W_OK | (os.X_OK if path == folder else 0)):
            reason = "read-only, or somebody else's"
            raise PermissionError(13, reason, str(path))


def kept_secret(path: Path) -> str:
    """Return the secret in the file `path`, which is made (readable by its owner only) where it is missing.

    Two processes that start at once agree: the file appears whole or not at all, and the first one wins.
    Raises OSError where the file can be neither read nor made.
    """
    if not path.exists():
        handle, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
