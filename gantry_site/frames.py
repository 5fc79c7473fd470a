"""Daphne's side of a page's socket: small frames are sent at once, and a reader that takes nothing is cut off."""

from __future__ import annotations

import struct
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

from gantry_site.direct_writes import nothing_waits, write_at_once
from models_admin.live.allowance import FLOODED

LARGEST_DIRECT = 0xFFFF  # bytes; the most that a two-byte length can say
MOST_UNREAD = 8 * 1024 * 1024  # bytes written since the reader fell behind
FIN, TEXT_OPCODE = 0x80, 0x01  # RFC 6455, 5.2


class SocketProtocol(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """A page's socket.

    A token is one small frame, and the socket nearly always takes it at once, so it is written here (direct_writes.py).

    Where the socket takes nothing, Twisted keeps all that is written, however much. Here the connection is cut after
    MOST_UNREAD. A page that is still there connects again, and gets the state of that moment.
    """

    _unread: int | None = None  # bytes written since the reader fell behind; None while it keeps up

    def onOpen(self) -> None:
        """Forget the request's headers; have the transport say when the reader falls behind, and when it has caught up."""
        super().onOpen()
        self.clean_headers = self.http_headers = None
        self.request.headers = None
        self.transport.unregisterProducer()  # the HTTP channel as which the connection began
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """Note that the reader has fallen behind. The transport calls this with each write until it has caught up."""
        if self._unread is None:
            self._unread = 0

    def resumeProducing(self) -> None:
        """Note that the reader has taken everything."""
        self._unread = None

    def stopProducing(self) -> None:
        """Do nothing: the connection has gone, which ends the protocol by itself."""

    def serverClose(self, code: int | None = None) -> None:
        """Close; from a page that floods, read no more either: it gets a second to take the close frame."""
        super().serverClose(code)
        if code == FLOODED:
            self.muted = True
            self.transport.pauseProducing()

    def serverSend(self, content: Any, binary: bool = False) -> None:
        """Send a message: now if the socket takes it, else as soon as it does."""
        if self._unread is not None:
            self._unread += len(content)
            if self._unread > MOST_UNREAD:
                self.dropConnection(abort=True)
                return
        if binary or self.state != self.STATE_OPEN or self._perMessageCompress is not None:
            super().serverSend(content, binary)
            return
        data = content.encode()
        if len(data) > LARGEST_DIRECT or self.send_queue or not nothing_waits(self.transport):
            # As a frame: as a message it would have to be smaller than what a page may send.
            self.sendFrame(opcode=TEXT_OPCODE, payload=data)
            return
        write_at_once(self.transport, _frame_header(len(data)) + data)


def _frame_header(length: int) -> bytes:
    """Return the header of a server's frame that is a whole text message of `length` bytes (at most LARGEST_DIRECT)."""
    if length < 126:
        return struct.pack("!BB", FIN | TEXT_OPCODE, length)
    return struct.pack("!BBH", FIN | TEXT_OPCODE, 126, length)
