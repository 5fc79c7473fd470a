"""Small writes past Twisted's reactor.

Twisted keeps what is written until its reactor has asked the system which sockets can take data: two more system calls for
each token. A socket nearly always takes a token at once.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Server


def nothing_waits(transport: Any) -> bool:
    """Return whether nothing that was written before waits in `transport`, a plain TCP connection."""
    return (
        isinstance(transport, Server)
        and bool(transport.connected)
        and not transport.disconnecting
        and not transport.dataBuffer
        and not transport._tempDataBuffer  # what has been written since the last turn
    )


def write_at_once(transport: Any, data: bytes) -> None:
    """Write `data` where nothing waits before it: now what the socket takes, the rest as soon as it does."""
    taken = transport.writeSomeData(data)
    if not isinstance(taken, int):  # the connection has gone, which the transport finds out by itself
        taken = 0
    if taken < len(data):
        transport.write(data[taken:])
