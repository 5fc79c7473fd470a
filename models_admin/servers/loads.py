"""The loads that TabbyAPI was asked for, and which of them may still be under way there.

TabbyAPI runs loads one after the other, and nothing stops one: it takes effect whether or not anybody listens. So a row is
written before each is sent, and marked when its end is known. A later load that shows progress proves that those before it
are over; so does a TabbyAPI that has started anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from models_admin.models import Load, Switch
from models_admin.tabby.errors import TabbyError, Unreachable

# The details of a switch whose load shows no progress, because TabbyAPI sends nothing of one that waits.
JOINED = "TabbyAPI shows no progress of a load that it was asked for again: it is waited for"
BUSY = "TabbyAPI is still busy with"
LOST_AFTER = 3  # times SWITCH_MAX_SECONDS: enough for one load behind another


def send(switch: Switch, *, back: bool) -> tuple[Load, bool]:
    """Write that `switch` asks for its target now, or for the model to go `back` to. Call it before the request.

    Return the load, and whether it was asked for before and may be under way: TabbyAPI is then silent until that ends.
    """
    model, options = (switch.previous, switch.previous_options) if back else (switch.target, switch.options)
    load, new = Load.objects.get_or_create(
        switch=switch, back=back, defaults={"model": model, "options": options}
    )
    load.switch = switch  # whose server is asked for
    again = not new and load.ended_at is None
    if load.ended_at is not None:
        load.ended_at, load.succeeded, load.sent_at = None, False, timezone.now()
        load.save(update_fields=["ended_at", "succeeded", "sent_at"])
    return load, again


def under_way(server: int) -> QuerySet[Load]:
    """Return a server's loads whose end is not known, in the order in which they take effect.

    Those that were sent longer ago than LOST_AFTER are taken for lost.
    """
    return Load.objects.filter(switch__server_id=server, ended_at=None, sent_at__gt=oldest())


def oldest() -> datetime:
    """Return since when a load has been sent that may still be under way."""
    return timezone.now() - timedelta(seconds=LOST_AFTER * settings.SWITCH_MAX_SECONDS)


def before(load: Load) -> QuerySet[Load]:
    """Return the loads that TabbyAPI may have to finish before `load`."""
    return under_way(load.switch.server_id).filter(pk__lt=load.pk)


def mark_ended(which: QuerySet[Load]) -> None:
    """Write that these loads have ended, with or without success."""
    which.filter(ended_at=None).update(ended_at=timezone.now())


def end(load: Load, *, succeeded: bool) -> None:
    """Write that `load` has ended, and whether it `succeeded`: its model is loaded, and was loaded by it."""
    Load.objects.filter(pk=load.pk, ended_at=None).update(ended_at=timezone.now(), succeeded=succeeded)


def loaded_by(switch: Switch, *, back: bool) -> bool:
    """Whether the target of `switch` (or the model to go `back` to), if TabbyAPI names it, was loaded by this switch.

    Then it has the options of that load.
    """
    load = (
        Load.objects.filter(switch=switch, back=back).exclude(ended_at__isnull=False, succeeded=False).first()
    )
    if load is not None:
        load.switch = switch
    return load is not None and not before(load).filter(model=load.model).exists()


def any_sent(switch: Switch) -> bool:
    """Whether TabbyAPI was asked for any load of `switch`: its target, or the model to go back to."""
    return Load.objects.filter(switch=switch).exists()


def asked_for(switch: Switch) -> bool:
    """Whether TabbyAPI was asked for the target of `switch`."""
    return Load.objects.filter(switch=switch, back=False).exists()


def give_up(switch: Switch) -> None:
    """Write that nobody waits for the loads of `switch` any more.

    While the switch is under way, that is its load of the target only: the load on its way back is still waited for.
    """
    mine = Load.objects.filter(switch=switch)
    if switch.active:
        mine = mine.filter(back=False)
    else:
        mine.exclude(ended_at=None).delete()
    mine.filter(given_up_at=None).update(given_up_at=timezone.now())


def busy_with(server: int) -> str:
    """Return the model of the load that was given up and goes on in the server; '' if there is none."""
    busy = under_way(server).exclude(given_up_at=None).values_list("model", flat=True)
    return busy.first() or ""


def finished_late(server: int, model: str) -> Load | None:
    """Return the load under way that has now loaded `model`, if there is one; mark it and those before it as ended."""
    load = under_way(server).filter(model=model).select_related("switch").first()
    if load is not None:
        mark_ended(under_way(server).filter(pk__lte=load.pk))
    return load


def shows_stopped(error: TabbyError) -> bool:
    """Whether `error` shows that TabbyAPI does not run: its address refused the connection."""
    return isinstance(error, Unreachable) and error.refused


def end_if_stopped(server: int, error: TabbyError) -> None:
    """Mark all loads of a server as ended where `error` shows that its TabbyAPI does not run."""
    if shows_stopped(error):
        mark_ended(under_way(server))


def forget(server: int) -> None:
    """Delete the loads of a server: a model has been loaded there since, and has answered."""
    Load.objects.filter(switch__server_id=server).delete()
