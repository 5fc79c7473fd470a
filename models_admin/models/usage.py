"""What replies took: a row for each, and the sums of each day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class UsageOutcome(models.TextChoices):
    """How a reply ended, in the chat as for a program."""

    COMPLETE = "complete", "answered"
    STOPPED = "stopped", "stopped by its reader, or its caller went away"
    FAILED = "failed", "failed"


class Usage(models.Model):
    """What one reply took; or, where `at` is NULL, what all replies took that have the same KEY.

    Both kinds stand in one table, because one statement writes both. People and tokens are numbers, not foreign keys: when
    an account is deleted its figures stay as they are, and nothing leads from the number to a name any more.
    """

    KEY = ("day", "person", "name", "token", "model", "kind", "outcome", "reason")
    SUMS = (
        "replies",
        "prompt_tokens",
        "completion_tokens",
        "firsts",
        "first_seconds",
        "seconds",
        "taken_over",
    )
    # Distributions (usage/histograms.py): only sums have them, a column for each bucket, such as `rate_3`.
    DISTRIBUTIONS = ("first", "rate", "context")
    BUCKETS = 12

    at = models.DateTimeField(null=True)  # when the reply ended
    day = models.DateField()  # the same by TIME_ZONE
    person = models.BigIntegerField(default=0)  # the user's id; 0 where only a name is known
    name = models.CharField(
        max_length=100, blank=True
    )  # of a person for whom a token spoke, and who has no account here
    token = models.BigIntegerField(default=0)  # 0 in the chat
    model = models.CharField(max_length=255, blank=True)  # the one that ended the reply
    kind = models.CharField(max_length=32)  # “chat”, or the endpoint
    outcome = models.CharField(max_length=8, choices=UsageOutcome)
    reason = models.CharField(max_length=32, blank=True, db_default="")  # why it failed, in a word
    replies = models.BigIntegerField(default=1)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    firsts = models.BigIntegerField(default=0)  # of how many the time to the first token is known
    first_seconds = models.FloatField(default=0)  # from asking TabbyAPI to the first token
    seconds = models.FloatField(default=0)  # from asking TabbyAPI to the end
    taken_over = models.BigIntegerField(db_default=0)  # how many another model had begun

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "person", "name", "token", "model", "kind", "outcome", "reason"],
                condition=Q(at__isnull=True),
                name="one_usage_sum",
            )
        ]
        indexes = [
            models.Index(fields=["day", "token"], condition=Q(at__isnull=True), name="usage_by_token"),
            models.Index(fields=["model", "day"], condition=Q(at__isnull=True), name="usage_by_model"),
            models.Index(fields=["at"], condition=Q(at__isnull=False), name="usage_by_end"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        what = "all" if self.at is None else f"one at {timezone.localtime(self.at):%H:%M}"
        return f"usage on {self.day}, {what}"


for _name in Usage.DISTRIBUTIONS:
    for _number in range(Usage.BUCKETS):
        Usage.add_to_class(f"{_name}_{_number}", models.BigIntegerField(db_default=0))
