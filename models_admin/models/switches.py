"""Switches, the loads that they asked for, and the leases of generations in flight, for which they wait."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_admin.models.servers import Server


class State(models.TextChoices):
    """Where a switch stands. The order is the order of its life; ACTIVE and GATED below say what each implies."""

    QUEUED = "queued"
    DRAINING = "draining"
    UNLOADING = "unloading"
    LOADING = "loading"
    VERIFYING = "verifying"
    ROLLING_BACK = "rolling_back", "rolling back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


GATED = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING, State.ROLLING_BACK)
ACTIVE = (State.QUEUED, *GATED)
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Source(models.TextChoices):
    """From where a switch was asked for, or what else made its row."""

    ADMIN = "admin"
    API = "api", "API"
    COMMAND = "command"
    ROLLBACK = "rollback"
    OUTSIDE = "outside"
    LATE = "late", "load given up"
    KEEP = "keep", "kept model"
    RULE = "rule"


class Switch(models.Model):
    """One attempt to change the model that a server has loaded, and its history. An empty target is an unload."""

    # No index of its own: while there are few servers, it would lead to half of the history.
    server = models.ForeignKey(
        Server, on_delete=models.PROTECT, related_name="switches", db_index=False, editable=False
    )
    target = models.CharField(max_length=255, blank=True)
    previous = models.CharField(max_length=255, blank=True)
    options = models.JSONField(default=dict)
    previous_options = models.JSONField(default=dict)
    source = models.CharField(max_length=16, choices=Source)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="switches"
    )
    cause = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="attempts"
    )
    # What it is a part of, where several servers are changed one after the other.
    rollout = models.ForeignKey(
        "models_admin.Rollout",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="switches",
        editable=False,
    )
    # The rule that asked for it, as it was called then; the rule itself may be changed or deleted since.
    rule = models.CharField(max_length=255, blank=True)
    # It is cancelled if, once the gate is closed, a reply is in flight or somebody waits for one.
    only_if_idle = models.BooleanField(default=False)
    # It is cancelled if another model is loaded meanwhile: somebody has chosen that.
    only_if_empty = models.BooleanField(default=False)
    # It goes on whatever is wrong with the files of its target: somebody has said so.
    force = models.BooleanField(default=False)
    # It serves whatever it would answer to the checks before serving: they are left out.
    skip_checks = models.BooleanField(default=False)
    # It tries its target out: loads it, runs all of its checks, and goes back. Nobody is served by it.
    tries = models.BooleanField(default=False, db_default=False)
    # What was found in the files of its target before anything was unloaded: sentences.
    file_notes = models.JSONField(default=list)
    drain_seconds = models.FloatField()

    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    # The percentage of the running step (0–100), and TabbyAPI's count of modules in words.
    percent = models.PositiveSmallIntegerField(default=0)
    detail = models.CharField(max_length=255, blank=True)
    owner = models.CharField(max_length=128, blank=True)
    heartbeat = models.DateTimeField(default=timezone.now)
    cancel_requested = models.DateTimeField(null=True)
    let_go_at = models.DateTimeField(null=True)
    # When it last had TabbyAPI unload. Until then, and until a load is sent, it has changed nothing there.
    unload_sent = models.DateTimeField(null=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    state_since = models.DateTimeField(default=timezone.now)
    seconds = models.JSONField(default=dict)  # {step: seconds}
    replies_cut = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=32, blank=True)
    advice = models.TextField(blank=True)
    # What was loaded when it ended; None while it runs, and where TabbyAPI did not say it.
    result = models.CharField(max_length=255, null=True)  # noqa: DJ001 ('' is "nothing loaded")
    # The parameters on TabbyAPI's card when it ended, and how they differ from what was asked: see servers/differences.py.
    card = models.JSONField(default=dict)
    differences = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "switches"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["server"], condition=Q(state__in=ACTIVE), name="at_most_one_active_switch"
            )
        ]
        indexes = [
            models.Index(fields=["target", "state", "-id"], name="switches_by_target"),
            # Not partial: SQLite takes a partial index only where a query has its condition word by word.
            models.Index(fields=["state", "-id"], name="switches_by_state"),
            models.Index(fields=["source", "created_at"], name="switches_by_source"),
        ]

    def __str__(self) -> str:
        what = f"switch to {self.target}" if self.target else "unload"
        return f"{what} ({self.get_state_display()})"

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE

    def cancel_requested_now(self) -> bool:
        """Whether somebody has asked to cancel it, by the database as it is now."""
        return Switch.objects.filter(pk=self.pk, cancel_requested__isnull=False).exists()


class Load(models.Model):
    """A load that a switch has asked TabbyAPI for. Nothing stops a load: it is remembered until its end is known.

    They take effect in the order of their ids. A switch asks for its target, and on its way `back` for the model before.
    """

    switch = models.ForeignKey(Switch, on_delete=models.CASCADE, related_name="loads")
    back = models.BooleanField(default=False)
    model = models.CharField(max_length=255)
    options = models.JSONField(default=dict)
    sent_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    # It has ended, and well: the model came from it.
    succeeded = models.BooleanField(default=False)
    # Nobody waits for its end any more.
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["switch", "back"], name="one_load_each_way"),
        ]
        indexes = [models.Index(fields=["ended_at", "sent_at"], name="loads_by_end")]

    def __str__(self) -> str:
        return f"load of {self.model} for switch {self.switch_id}"


class Lease(models.Model):
    """One generation in flight on a server, held by a web process. No unload begins there while one is left."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="leases", db_index=False)
    holder = models.CharField(max_length=128)
    subject = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["holder"])]

    def __str__(self) -> str:
        return f"{self.subject} in {self.holder}"
