"""Downloads that are made while they are sent: the first part leaves at once, and no file is ever whole in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeVar

from django.http import StreamingHttpResponse

from models_admin import db_threads

T = TypeVar("T")
BATCH = 500  # rows that are read at once


class Download(StreamingHttpResponse):
    """A response that downloads the texts `parts` as the file `name`.

    Each part is made in a thread when the reader has taken the one before. `parts` must hold nothing of the database from
    one part to the next: each may be made in another thread, and a slow reader must keep no connection.
    """

    def __init__(self, name: str, parts: Iterator[str], content_type: str) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(parts, content_type=f"{content_type}; charset=utf-8", headers=headers)
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await db_threads.read(next, self._parts, None)) is not None:
            yield self.make_bytes(part)


def batches(ids: Iterable[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """Yield the ids in lists of `size` at most."""
    every = list(ids)
    return (every[at : at + size] for at in range(0, len(every), size))
