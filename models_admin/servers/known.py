"""Which TabbyAPI servers there are. Each goes by the id of its row, which everything that speaks of a server takes.

So far there is one, at TABBY_HOST; only this module and connections.py know that.
"""

from __future__ import annotations

_ONLY = 1


def default() -> int:
    """The server that people mean who name none."""
    return _ONLY


def all_servers() -> list[int]:
    """The servers that are looked after."""
    return [_ONLY]
