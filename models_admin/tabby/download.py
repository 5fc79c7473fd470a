"""A download that TabbyAPI carries out: one request, held open until it is done. Closing it deletes all again."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp

from models_admin.tabby.access import MAX_ERROR_BODY, Access
from models_admin.tabby.connections import LOST, Connections, bounded, lost
from models_admin.tabby.errors import InternalError, TabbyError, TimedOut

DOING = "downloading a model"


class HeldDownload:
    """POST /v1/download, in a thread of its own from the beginning of the block to its end, which closes the connection."""

    def __init__(self, access: Access, body: dict[str, Any]) -> None:
        self._access, self._body = access, body
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._error: TabbyError | None = None
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None and not self._ended.is_set():
            with suppress(RuntimeError):  # it has ended just now
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and return whether it has come."""
        return self._ended.wait(seconds)

    def check(self) -> None:
        """Raise the TabbyError with which it ended; return where all is there."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._hold())
        except asyncio.CancelledError:
            pass
        except TabbyError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 (handed to whoever waits)
            self._error = InternalError(f"Gantry itself failed ({type(error).__name__})")
        finally:
            self._ready.set()
            self._ended.set()

    async def _hold(self) -> None:
        self._task = asyncio.current_task()
        self._ready.set()
        connections = Connections()
        try:
            url, headers = f"{self._access.base}/v1/download", self._access.headers()
            async with connections.session().post(
                url, headers=headers, json=self._body, allow_redirects=False
            ) as answer:
                body = await bounded(answer, MAX_ERROR_BODY)
                if answer.status != 200:
                    raise self._access.failure(answer.status, DOING, body)
        except aiohttp.ConnectionTimeoutError as error:
            raise self._access.unreachable(DOING) from error
        except TimeoutError as error:
            raise TimedOut(f"TabbyAPI gave no answer while {DOING}") from error
        except LOST as error:
            raise lost(self._access, DOING, error) from error
        finally:
            await connections.close()
