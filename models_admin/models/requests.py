"""Users' requests for a model."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class RequestState(models.TextChoices):
    """Where a request for a model stands: open, or how it ended."""

    OPEN = "open"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    GONE = "gone", "model gone"


class ModelRequest(models.Model):
    """A user's request for a model that they may not load themselves. Pages call it “request”."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="model_requests"
    )
    target = models.CharField("model", max_length=255)
    reason = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=16, choices=RequestState, default=RequestState.OPEN)
    # How often the user asked for it (again): what the limit against floods counts.
    times = models.PositiveIntegerField(default=1)
    asked_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    # An administrator's words to a user whose request was declined.
    answer = models.CharField(max_length=300, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # When the user put the notice of its end away.
    seen_at = models.DateTimeField(null=True)
    # Set with each write: the hub reads what has changed within the last minute.
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "request"
        ordering = ["asked_at", "id"]
        default_permissions = ()  # who may switch sees and answers them
        constraints = [
            models.UniqueConstraint(
                fields=["user", "target"],
                condition=Q(state="open"),
                name="one_open_request_per_user_and_model",
            )
        ]
        indexes = [
            models.Index(fields=["changed_at"]),
            models.Index(fields=["state", "target"]),
            models.Index(fields=["ended_at"], name="requests_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.user} asks for {self.target}"
