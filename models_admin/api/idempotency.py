"""Idempotency-Keys: a script whose connection died sends its request again, with the same key.

The key is written in the transaction that writes the switch, behind the lock that orders all requests. So there is never a
key without its switch, and of two requests with one key at the same instant the second finds the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from models_admin.models import RepeatKey, Switch
from models_admin.servers import known
from models_admin.switching import gate

KEPT = timedelta(hours=24)


class Reused(Exception):
    """The key was used for another request; str() is a sentence for whoever sent it."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent with another request before. Send each new request with a new key."
        )


def once(user_id: int, key: str, asked: dict[str, Any], ask: Callable[[], Switch]) -> Switch:
    """Return the switch that the user's first request with `key` led to, or what `ask()` returns now.

    `asked` is what the request asks for, as plain data; raises Reused where the key came with other data. A request that is
    refused (`ask` raises) leaves no key behind. Keys count for KEPT.
    """
    document = json.dumps(asked, sort_keys=True).encode()
    request = hashlib.sha256(document).hexdigest()
    with transaction.atomic():
        gate.lock(known.all_servers())
        same_key = RepeatKey.objects.filter(user_id=user_id, key=key)
        same_key.filter(created_at__lt=timezone.now() - KEPT).delete()
        first = same_key.select_related("switch").first()
        if first is None:
            switch = ask()
            RepeatKey.objects.create(user_id=user_id, key=key, request=request, switch=switch)
            return switch
    if first.request != request:
        raise Reused
    return first.switch


def forget() -> int:
    """Delete the keys that are older than KEPT; return how many."""
    return RepeatKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
