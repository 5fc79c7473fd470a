"""Which TabbyAPI servers there are. Each is named by the id of its row, as the first argument of most functions.

So far there is one, at TABBY_HOST; only this module and connections.py know that.
"""

from __future__ import annotations

_ONLY = 1


def default() -> int:
    """Return the server that is meant where none is named."""
    return _ONLY


def all_servers() -> list[int]:
    """Return all servers."""
    return [_ONLY]
