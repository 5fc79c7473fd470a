"""Why nothing can be saved at the moment, in words for a person: a full disk, or a database that is away."""

from __future__ import annotations

import errno

from models_admin.db_threads import away

INSUFFICIENT_STORAGE = 507
UNAVAILABLE = 503
_FULL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("disk is full", "no space left", "could not extend file")


def is_full(error: BaseException) -> bool:
    """Whether the database, or the system, says with `error` that there is no room."""
    if isinstance(error, OSError):
        return error.errno in _FULL_ERRNO
    return away(error) and any(words in str(error).lower() for words in _FULL_WORDS)


FULL = "The server's disk is full: messages cannot be saved. Gantry goes on by itself when there is room."
AWAY = "The database does not answer at the moment. Try again in a few seconds."


def refusal(error: BaseException) -> tuple[int, str] | None:
    """Return the HTTP status (507, 503) and a sentence for a full disk or a database that is away; None for other errors."""
    if is_full(error):
        return INSUFFICIENT_STORAGE, FULL
    return (UNAVAILABLE, AWAY) if away(error) else None
