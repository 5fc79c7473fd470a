"""What is wrong with the disk or with Redis, as this process found within the last seconds.

Pages show it without the database, which may be what fails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from models_admin import page_schema
from models_admin.servers.finding import Finding

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
DISK_FULL = "disk_full"  # the id of the finding that nothing can be saved

_known: list[page_schema.Finding] = []
_thread: threading.Thread | None = None


def as_known() -> list[page_schema.Finding]:
    """Return what is wrong; [] where nothing is, or start() was not called."""
    return list(_known)


def is_full() -> bool:
    """Whether the disk is full, so that not even heartbeats can be written."""
    return any(each["id"] == DISK_FULL for each in _known)


def start(examinations: Sequence[Callable[[], Finding]]) -> None:
    """Run the examinations every LOOK_SECONDS, in a thread; a second call does nothing."""
    global _thread  # noqa: PLW0603 (one a process)
    if _thread is None:
        _thread = threading.Thread(target=_look_repeatedly, args=(examinations,), name="machine", daemon=True)
        _thread.start()


def _look_repeatedly(examinations: Sequence[Callable[[], Finding]]) -> None:
    pause = threading.Event()
    while True:
        look(examinations)
        pause.wait(LOOK_SECONDS)


def look(examinations: Sequence[Callable[[], Finding]]) -> None:
    """Run the examinations once; log each error that is new, and each that is over."""
    found = [finding for examine in examinations if (finding := examine()).level == "error"]
    before = {each["title"] for each in _known}
    for finding in found:
        if finding.title not in before:
            log.error("%s. %s %s", finding.title, finding.detail, finding.hint)
    for title in before - {each.title for each in found}:
        log.warning("This is over: %s", title)
    _known[:] = [each.as_dict() for each in found]
