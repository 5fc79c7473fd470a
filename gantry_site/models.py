"""The site's own rows: counts of failed sign-ins, and faults of the reverse proxy that requests showed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class SignInCount(models.Model):
    """How often somebody from `source` gave a wrong password, until `ends_at`; see sign_in.py.

    A digest stands for the name that was typed, which may be anything, a password too. '' counts all names together.
    """

    name = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=80)
    failures = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "name"], name="one_sign_in_count"),
        ]

    def __str__(self) -> str:
        return f"{self.failures} from {self.source}"


class SeenFault(models.Model):
    """A fault of the reverse proxy in front, as a request last showed it; see refusals.py."""

    kind = models.CharField(max_length=20, primary_key=True)
    title = models.CharField(max_length=500)
    hint = models.CharField(max_length=500)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.title
