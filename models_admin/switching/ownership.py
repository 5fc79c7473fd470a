"""Who carries a switch out: one worker at a time, which shows by a heartbeat that it lives.

Whoever changes no row has lost the race, as with the transitions.
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

LAST_WORD_SECONDS = 2.0  # for the owner of a switch to show itself, before another worker takes it over


class Lost(Exception):
    """This process no longer carries the switch out: it was cancelled, or another worker has taken it over."""


def claim(switch_id: int) -> Switch | None:
    """Become the owner of a switch that has none, or whose owner is dead; None if it is not to be had.

    Each claim has a token of its own: of two runners in one process, the older one finds that it has lost the switch.
    """
    free = Q(owner="", state=State.QUEUED) | _left_by_the_dead(switch_id)
    with transaction.atomic():
        Switch.objects.select_for_update().filter(pk=switch_id).first()
        changed = Switch.objects.filter(free, pk=switch_id).update(
            owner=f"{process.name()}.{secrets.token_hex(4)}", heartbeat=timezone.now()
        )
    return Switch.objects.get(pk=switch_id) if changed else None


def _left_by_the_dead(switch_id: int) -> Q:
    """Which switch may be taken from its owner: this one, if its heartbeat is old and stays as it is.

    An old heartbeat alone proves no death: while the database was locked, nobody could write one. So its owner is given
    a moment that begins when the database takes writes.
    """
    stale = Switch.objects.filter(
        pk=switch_id, state__in=ACTIVE, heartbeat__lt=process.oldest_alive()
    ).first()
    if stale is None or not stale.owner:
        return Q(pk__in=())
    with transaction.atomic():
        Switch.objects.select_for_update().filter(pk=switch_id).first()
    time.sleep(LAST_WORD_SECONDS)
    return Q(owner=stale.owner, heartbeat=stale.heartbeat, state__in=ACTIVE)


def orphans(server: int) -> list[int]:
    """Switches of a server under way that nobody carries out: never claimed within 2 s, or their owner is dead."""
    stale = Q(heartbeat__lt=process.oldest_alive())
    unclaimed = Q(owner="", created_at__lt=timezone.now() - timedelta(seconds=2))
    return list(
        Switch.objects.filter(server_id=server, state__in=ACTIVE)
        .filter(stale | unclaimed)
        .values_list("pk", flat=True)
    )


def beat(switch: Switch, **progress: Any) -> bool:
    """Show that the owner lives, with `percent` and `detail` where they changed; False if it owns it no more."""
    mine = Switch.objects.filter(pk=switch.pk, owner=switch.owner, state__in=ACTIVE)
    with transaction.atomic():
        mine.select_for_update().first()  # it may have to wait: the time is taken when it can be written
        return mine.update(heartbeat=timezone.now(), **progress) == 1
