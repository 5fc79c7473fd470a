"""Looks at servers for the regular tasks: at each of several in a thread of its own, so that a hung one delays no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import connection

from models_admin.servers import known

log = logging.getLogger(__name__)

_running: dict[tuple[str, int], threading.Thread] = {}


def look(name: str, *steps: Callable[[int], object]) -> None:
    """Take the steps for each server, in this order, and return when that is done for the only one.

    Where there are several, nobody waits for them; one whose look of the same `name` is still under way is left out.
    """
    servers = known.all_servers()
    if not known.several():
        _take(steps, servers[0])
        return
    for server in servers:
        before = _running.get((name, server))
        if before is None or not before.is_alive():
            thread = threading.Thread(
                target=_alone, args=(steps, server), name=f"{name} {server}", daemon=True
            )
            _running[name, server] = thread
            thread.start()


def _take(steps: tuple[Callable[[int], object], ...], server: int) -> None:
    for step in steps:
        step(server)


def _alone(steps: tuple[Callable[[int], object], ...], server: int) -> None:
    try:
        _take(steps, server)
    except Exception as error:
        log.warning("%s could not be looked at (%s)", known.name(server), error, exc_info=error)
    finally:
        connection.close()
