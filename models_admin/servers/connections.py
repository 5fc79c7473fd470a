"""The address and the keys of a TabbyAPI server, and clients for it."""

from __future__ import annotations

from django.conf import settings

from models_admin.servers import addresses, known
from models_admin.tabby.access import READ_SECONDS, Access
from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.client import TabbyClient


def access(server: int) -> Access:
    """Return the address and the keys of a server. Of one that is no longer named, the address is none."""
    return addresses.servers().get(known.name(server)) or Access("")


def client(server: int, *, patience: float = READ_SECONDS, with_keys: bool = True) -> TabbyClient:
    """Return a blocking client, which waits `patience` seconds for an answer; without keys, for what needs none."""
    its = access(server)
    keys = (its.admin_key, its.api_key) if with_keys else ()
    return TabbyClient(its.host, *keys, switch_timeout=settings.SWITCH_TIMEOUT, read_timeout=patience)


def async_client(server: int, *, patience: float | None = None) -> AsyncTabby:
    """Return a client for the event loop, which streams replies; it waits for them as the settings say, or `patience` s."""
    its = access(server)
    return AsyncTabby(
        its.host,
        its.admin_key,
        its.api_key,
        stall_timeout=patience or settings.REPLY_STALL_TIMEOUT,
        first_token_timeout=patience or settings.FIRST_TOKEN_TIMEOUT,
    )
