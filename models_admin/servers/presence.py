"""Which models each of several servers has. Where there is one, the catalog says it, and these rows are not written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from models_admin.models import Presence, TabbyModel
from models_admin.servers import known


def present(server: int, name: str) -> bool:
    """Whether a server listed this model of the catalog when it was last asked."""
    return not known.several() or name in on(server)


def on(server: int) -> list[str]:
    """Return the models that a server listed when it was last asked.

    To the first of several belong those that none has by these rows, too: they were seen when it was the only one, or on
    one that is no longer named. When it is next asked, they are confirmed or gone.
    """
    if not known.several():
        return list(TabbyModel.objects.filter(vanished_at=None).values_list("name", flat=True))
    here = list(_there([server]).values_list("model", flat=True))
    if server != known.default():
        return here
    had = set(_there(known.all_servers()).values_list("model", flat=True))
    names = TabbyModel.objects.filter(vanished_at=None).values_list("name", flat=True)
    return [*here, *(name for name in names if name not in had)]


def gone_everywhere(names: Collection[str], but: int) -> list[str]:
    """Return those of the models that no server has other than `but`, which has none of them."""
    elsewhere = [each for each in known.all_servers() if each != but]
    kept = set(_there(elsewhere).filter(model__in=names).values_list("model", flat=True))
    return [name for name in names if name not in kept]


def mark(server: int, names: Sequence[str], now: datetime) -> None:
    """Write that a server lists these models."""
    with transaction.atomic():
        Presence.objects.bulk_create(
            [Presence(server_id=server, model=name, first_seen=now, last_seen=now) for name in names],
            update_conflicts=True,
            unique_fields=["server", "model"],
            update_fields=["last_seen", "vanished_at"],
        )


def mark_gone(server: int, names: Iterable[str], now: datetime) -> None:
    """Write that a server lists these models no more."""
    Presence.objects.filter(server_id=server, model__in=list(names)).update(vanished_at=now)


def _there(servers: Sequence[int]) -> QuerySet[Presence]:
    return Presence.objects.filter(server__in=servers, vanished_at=None)
