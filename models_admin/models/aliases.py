"""Aliases: names that administrators give to models, and what each has stood for."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class Alias(models.Model):
    """A name for a model, with defaults for what is generated under it. An empty model is whatever is loaded.

    Its name stays: programs have it. One that is retired is kept, to say where its callers should go (`successor`: another
    alias, or a model).
    """

    name = models.CharField(max_length=64)
    model = models.CharField(max_length=255, blank=True)
    sampling = models.JSONField(default=dict, blank=True)  # of aliases/sampling.py
    system_prompt = models.TextField(blank=True)
    everybody = models.BooleanField("everybody may use it", default=True)
    groups = models.ManyToManyField(Group, blank=True, related_name="+")  # whose members may use it, else
    retired_at = models.DateTimeField(null=True, editable=False)
    successor = models.CharField(max_length=255, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "aliases"
        ordering = [Lower("name")]
        default_permissions = ()  # `manage` is the permission for them
        constraints = [models.UniqueConstraint(Lower("name"), name="one_alias_per_name")]

    def __str__(self) -> str:
        return self.name

    def answers(self, loaded: str) -> bool:
        """Whether a call would be answered while this model is loaded ('': none is)."""
        return self.retired_at is None and bool(loaded) and self.model in ("", loaded)


class AliasEvent(models.TextChoices):
    """What was done with an alias: `before` and `after` are models, for a retired one `after` is its successor."""

    MADE = "made"
    POINTED = "pointed", "points elsewhere"
    RETIRED = "retired"
    RESTORED = "restored", "brought back"


class AliasChange(models.Model):
    """What an alias stood for, and since when; `by` is null for a command."""

    alias = models.ForeignKey(Alias, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    event = models.CharField(max_length=16, choices=AliasEvent)
    before = models.CharField(max_length=255, blank=True)
    after = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.alias}: {self.get_event_display()}"
