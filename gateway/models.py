"""Calls of programs, open and just ended, and the processes that have them. Only claims.py writes them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_admin.models import Token


class State(models.TextChoices):
    """`aside` runs beside the line: it needs no chat model."""

    WAITING = "waiting"
    RUNNING = "running"
    ASIDE = "aside"
    ENDED = "ended"


OPEN = (State.WAITING, State.RUNNING, State.ASIDE)


class Outcome(models.TextChoices):
    """How a call ended."""

    DONE = "done", "answered"
    REFUSED = "refused", "refused, by its own fault or because its time was over"
    FAILED = "failed", "failed"
    GONE = "gone", "its caller went away"
    DIED = "died", "its process died"


class Call(models.Model):
    """One request for something to be generated."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    spoken_for = models.CharField(
        max_length=100, blank=True
    )  # somebody without an account, whom the token speaks for
    token = models.ForeignKey(Token, on_delete=models.CASCADE, related_name="+", db_index=False)
    endpoint = models.CharField(max_length=32)
    state = models.CharField(max_length=8, choices=State)
    holder = models.CharField(max_length=128)  # whose callers' connection it is, as in leases
    lease = models.PositiveBigIntegerField(null=True)
    model = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(default=timezone.now)  # the last time: one that was cut waits again
    not_before = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True)
    # Tokens of its parts so far, once a second: its process records them at its end, another one if that dies.
    spent_prompt = models.PositiveIntegerField(default=0, db_default=0)
    spent_completion = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["state", "id"], name="gateway_by_state"),
            models.Index(fields=["token", "created_at"], name="gateway_by_token"),
            models.Index(fields=["person", "created_at"], name="gateway_by_person"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="gateway_ended"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"call {self.pk} ({self.state})"


class Process(models.Model):
    """A web process that has calls, and when it last said that it lives."""

    holder = models.CharField(max_length=128, primary_key=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.holder
