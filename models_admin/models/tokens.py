"""The HTTP API's tokens, and the keys of requests that may come twice."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from models_admin.models.switches import Switch


class Token(models.Model):
    """An API token: a script may use the HTTP API with it, in the name of a user. Only its hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    scopes = models.JSONField(default=list)  # of tokens.Scope
    digest = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256, in hexadecimal
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField("expires", null=True, blank=True)
    last_used = models.DateTimeField(null=True, editable=False)  # to the minute
    # Its own limits under /v1; NULL: those of the settings, 0: none.
    calls_at_once = models.PositiveIntegerField(null=True, blank=True)
    requests_per_minute = models.PositiveIntegerField("requests a minute", null=True, blank=True)
    tokens_per_day = models.PositiveBigIntegerField("tokens a day", null=True, blank=True)
    speaks_for_others = models.BooleanField(default=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]
        default_permissions = ()  # everybody has their own

    def __str__(self) -> str:
        return self.name


class RepeatKey(models.Model):
    """An Idempotency-Key that a user sent, and the switch that its first request led to."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    request = models.CharField(max_length=64)  # SHA-256 of what was asked for, in hexadecimal
    switch = models.ForeignKey(Switch, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_request_per_key")]
        indexes = [models.Index(fields=["created_at"])]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key} of user {self.user_id}"
