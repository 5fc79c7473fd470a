"""The name of this process, under which it holds leases, claims replies and owns switches; and which process is alive."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.utils import timezone


@cache
def _name(pid: int) -> str:
    return f"{socket.gethostname()[:64]}:{pid}:{secrets.token_hex(4)}"


def name() -> str:
    """Return `host:pid:token`; the token tells a process from a later one that was given the same pid."""
    return _name(os.getpid())


def oldest_alive() -> datetime:
    """Return the time of the oldest heartbeat that still shows a process alive (HEARTBEAT_TTL)."""
    return timezone.now() - timedelta(seconds=settings.HEARTBEAT_TTL)
