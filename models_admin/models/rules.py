"""Rules: switches that happen by themselves."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from models_admin.models.switches import Switch

DAYS = {1: "Monday", 2: "Tuesday", 3: "Wednesday", 4: "Thursday", 5: "Friday", 6: "Saturday", 7: "Sunday"}


class Trigger(models.TextChoices):
    """What a rule waits for."""

    START = "start", "when Gantry starts: load a model"
    IDLE = "idle", "when nobody uses the model: unload it"
    TIME = "time", "at a set time: switch or unload"


def _weekdays() -> list[int]:
    return [1, 2, 3, 4, 5]


class Rule(models.Model):
    """A switch that happens by itself. automation/rules.py decides when; each leaves a Switch that names it.

    An empty target is the last model at a start, else an unload. `days` are ISO weekdays (1 = Monday); `at` is a time of
    day in TIME_ZONE.
    """

    name = models.CharField(max_length=100, blank=True)
    trigger = models.CharField(max_length=8, choices=Trigger)
    target = models.CharField(max_length=255, blank=True)
    # At a set time: only try the target out, and go back.
    tries = models.BooleanField(default=False, db_default=False, editable=False)
    enabled = models.BooleanField(default=True)
    days = models.JSONField(default=_weekdays)
    at = models.TimeField(null=True, blank=True)
    only_if_idle = models.BooleanField("only if idle", default=True)
    idle_minutes = models.FloatField(default=15.0)
    wait_minutes = models.PositiveIntegerField(default=60)

    # Occasions up to this one are done with; None: none is.
    handled_until = models.DateTimeField(null=True, editable=False)
    # The same by server (its id), as ISO 8601 text, where there are several and the occasions are of each.
    handled = models.JSONField(default=dict, editable=False)
    # The occasion that has come while the switch cannot be made yet.
    waits_for = models.DateTimeField(null=True, editable=False)
    last_run = models.DateTimeField(null=True, editable=False)
    # What came of the last run: a switch, or the words why there was none.
    last_switch = models.ForeignKey(
        Switch, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    note = models.TextField(blank=True, editable=False)

    class Meta:
        verbose_name = "automation rule"
        ordering = ["trigger", "at", "id"]
        default_permissions = ()  # `manage` is the permission for them

    def __str__(self) -> str:
        return self.name or self.words

    @property
    def words(self) -> str:
        """What the rule does, such as “Weekdays at 08:00: switch to X, if idle”."""
        match self.trigger:
            case Trigger.START:
                return f"At the start: load {self.target or 'the last model'}"
            case Trigger.IDLE:
                return f"Unload when idle for {minutes_in_words(self.idle_minutes)}"
            case _:
                at = f" at {self.at.isoformat('seconds' if self.at.second else 'minutes')}" if self.at else ""
                what = f"switch to {self.target}" if self.target else "unload"
                what = f"try {self.target} out" if self.tries else what
                return f"{days_in_words(self.days)}{at}: {what}{', if idle' if self.only_if_idle else ''}"


def minutes_in_words(count: float) -> str:
    """Return a number of minutes in words."""
    return "1 minute" if count == 1 else f"{count:g} minutes"


def days_in_words(chosen: Iterable[int]) -> str:
    """Return ISO weekdays in words."""
    ordered = sorted(set(chosen))
    match ordered:
        case [1, 2, 3, 4, 5, 6, 7]:
            return "Every day"
        case [1, 2, 3, 4, 5]:
            return "Weekdays"
        case [6, 7]:
            return "Weekends"
        case [day]:
            return f"{DAYS[day]}s"
        case _:
            return ", ".join(DAYS[day][:3] for day in ordered)
