"""The owner of a switch: the one worker that carries it out, and shows by a heartbeat that it lives.

As with the transitions, whoever changes no row has lost the race.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_admin import process
from models_admin.models import ACTIVE, State, Switch

OWNER_GRACE_SECONDS = (
    2.0  # for the owner of a switch to write a heartbeat, before another worker takes it over
)


class Lost(Exception):
    """This process no longer carries the switch out: it was cancelled, or another worker has taken it over."""


def claim(switch_id: int) -> Switch | None:
    """Become the owner of a switch that has none, or whose owner is dead; return it, or None if neither is so.

    Each claim has a token of its own: of two runners in one process, the older one finds that it has lost the switch.
    """
    free = Q(owner="", state=State.QUEUED) | _left_by_dead_owner(switch_id)
    with transaction.atomic():
        Switch.objects.select_for_update().filter(pk=switch_id).first()
        changed = Switch.objects.filter(free, pk=switch_id).update(
            owner=f"{process.name()}.{secrets.token_hex(4)}", heartbeat=timezone.now()
        )
    return Switch.objects.get(pk=switch_id) if changed else None


def _left_by_dead_owner(switch_id: int) -> Q:
    """Return the condition under which the switch may be taken from its owner: an old heartbeat that stays as it is.

    An old heartbeat alone proves no death: while the database was locked, nobody could write one. So the owner gets
    OWNER_GRACE_SECONDS from the moment that the database takes writes.
    """
    stale = Switch.objects.filter(
        pk=switch_id, state__in=ACTIVE, heartbeat__lt=process.oldest_alive()
    ).first()
    if stale is None or not stale.owner:
        return Q(pk__in=())
    with transaction.atomic():
        Switch.objects.select_for_update().filter(pk=switch_id).first()
    time.sleep(OWNER_GRACE_SECONDS)
    return Q(owner=stale.owner, heartbeat=stale.heartbeat, state__in=ACTIVE)


def orphans(server: int) -> list[int]:
    """Return the ids of a server's active switches that nobody carries out: unclaimed for 2 s, or their owner is dead."""
    stale = Q(heartbeat__lt=process.oldest_alive())
    unclaimed = Q(owner="", created_at__lt=timezone.now() - timedelta(seconds=2))
    return list(
        Switch.objects.filter(server_id=server, state__in=ACTIVE)
        .filter(stale | unclaimed)
        .values_list("pk", flat=True)
    )


def beat(switch: Switch, **progress: Any) -> bool:
    """Write a heartbeat of the owner, and columns of `progress` with it; return False if it owns the switch no more."""
    mine = Switch.objects.filter(pk=switch.pk, owner=switch.owner, state__in=ACTIVE)
    with transaction.atomic():
        mine.select_for_update().first()  # it may have to wait: the time is taken when it can be written
        return mine.update(heartbeat=timezone.now(), **progress) == 1
