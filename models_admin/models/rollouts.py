"""Rollouts: the same change on several servers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_admin.models.switches import Source


class RolloutState(models.TextChoices):
    """Where a rollout stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Rollout(models.Model):
    """The same change on several servers, one after the other: the parent of a switch for each.

    The first switch that does not succeed ends it, and what the earlier ones have loaded stays. With `go_back` set, those
    servers are given back what they had, in the opposite order.
    """

    target = models.CharField(max_length=255, blank=True)
    options = models.JSONField(default=dict)
    servers = models.JSONField(default=list)  # their ids, in the order in which they are changed
    source = models.CharField(max_length=16, choices=Source)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    rule = models.CharField(max_length=255, blank=True)
    only_if_idle = models.BooleanField(default=False)
    force = models.BooleanField(default=False)
    skip_checks = models.BooleanField(default=False)
    drain_seconds = models.FloatField()
    state = models.CharField(max_length=16, choices=RolloutState, default=RolloutState.RUNNING)
    cancel_requested = models.DateTimeField(null=True)
    go_back = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state=RolloutState.RUNNING), name="at_most_one_running_rollout"
            )
        ]

    def __str__(self) -> str:
        what = f"rollout of {self.target}" if self.target else "unload of several servers"
        return f"{what} ({self.get_state_display()})"
