"""The loads that a TabbyAPI was asked for and that may still be under way there.

TabbyAPI runs loads one after the other, and nothing stops one: whether or not anybody listens, it takes effect. So each
is written down before it is sent, and forgotten when its end is known. A later load that shows progress proves that
those before it are over; so does a TabbyAPI that has started anew.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from models_admin.models import Load, Switch
from models_admin.tabby.errors import TabbyError, Unreachable

# The details of a switch whose load shows no progress, because TabbyAPI sends nothing of one that waits.
JOINED = "TabbyAPI shows no progress of a load that it was asked for again: it is waited for"
BUSY = "TabbyAPI is still busy with"
LASTS = 3  # times SWITCH_MAX_SECONDS: one load behind another, and some more


def send(switch: Switch, *, back: bool) -> tuple[Load, bool]:
    """Write down that `switch` asks for its target now, or for the model to go `back` to.

    Return the load, and whether it was asked for before and may be under way: TabbyAPI is then silent until that is over.
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
    """A server's loads whose end is not known, in the order in which they take effect. At last they are believed lost."""
    oldest = timezone.now() - timedelta(seconds=LASTS * settings.SWITCH_MAX_SECONDS)
    return Load.objects.filter(switch__server_id=server, ended_at=None, sent_at__gt=oldest)


def before(load: Load) -> QuerySet[Load]:
    """The loads that TabbyAPI may have to finish before `load`."""
    return under_way(load.switch.server_id).filter(pk__lt=load.pk)


def over(which: QuerySet[Load]) -> None:
    """Write that these have ended, one way or another."""
    which.filter(ended_at=None).update(ended_at=timezone.now())


def end(load: Load, *, well: bool) -> None:
    """Write that `load` has ended, and whether `well`: with its model loaded, and loaded by it."""
    Load.objects.filter(pk=load.pk, ended_at=None).update(ended_at=timezone.now(), succeeded=well)


def made(switch: Switch, *, back: bool) -> bool:
    """Whether the model that TabbyAPI names comes from this load, if it is the load's model: with its options, then."""
    load = (
        Load.objects.filter(switch=switch, back=back).exclude(ended_at__isnull=False, succeeded=False).first()
    )
    if load is not None:
        load.switch = switch
    return load is not None and not before(load).filter(model=load.model).exists()


def any_sent(switch: Switch) -> bool:
    """Whether TabbyAPI was asked for any load by `switch`, there or back."""
    return Load.objects.filter(switch=switch).exists()


def asked_for(switch: Switch) -> bool:
    """Whether TabbyAPI was asked for the target of `switch`."""
    return Load.objects.filter(switch=switch, back=False).exists()


def give_up(switch: Switch) -> None:
    """Nobody waits for the loads of `switch` any more; while it is under way, still for the one on its way back."""
    mine = Load.objects.filter(switch=switch)
    if switch.active:
        mine = mine.filter(back=False)
    else:
        mine.exclude(ended_at=None).delete()
    mine.filter(given_up_at=None).update(given_up_at=timezone.now())


def busy_with(server: int) -> str:
    """The model of the load that a server still carries out though nobody waits for it; '' if there is none."""
    busy = under_way(server).exclude(given_up_at=None).values_list("model", flat=True)
    return busy.first() or ""


def brought(server: int, model: str) -> Load | None:
    """The load that has brought `model` late, if one has: those before it are over then too."""
    load = under_way(server).filter(model=model).select_related("switch").first()
    if load is not None:
        over(under_way(server).filter(pk__lte=load.pk))
    return load


def has_ended(error: TabbyError) -> bool:
    """Whether `error` shows that TabbyAPI does not run: nothing listens at its address."""
    return isinstance(error, Unreachable) and error.refused


def note(server: int, error: TabbyError) -> None:
    """Where `error` shows that TabbyAPI does not run, its loads have gone with it."""
    if has_ended(error):
        over(under_way(server))


def forget(server: int) -> None:
    """Whatever a server was asked for is over: a model has been loaded there since and has answered."""
    Load.objects.filter(switch__server_id=server).delete()
