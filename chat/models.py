"""Conversations and their messages.

Only five modules move a message from state to state: sends.py, replies.py and comparing.py do what people ask for, claims.py
and progress.py what processes do.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Conversation(models.Model):
    """One person's chat. Its messages form a tree; `head` is the last message of the branch that is shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    title = models.CharField(max_length=200, blank=True)
    pinned = models.BooleanField(default=False)
    alias = models.CharField(
        max_length=64, blank=True
    )  # of a model; it may be retired, or for others only, by now
    system_prompt = models.TextField(blank=True)
    temperature = models.FloatField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    head = models.ForeignKey("Message", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-updated_at"]
        indexes = [models.Index(fields=["owner", "-updated_at"])]

    def __str__(self) -> str:
        return self.title or "New conversation"


class Role(models.TextChoices):
    """Who wrote a message: a person or a model."""

    USER = "user"
    ASSISTANT = "assistant"


class Status(models.TextChoices):
    """A person's message is `complete` from the start; a reply begins `queued` and ends in one of the last three.

    A comparison begins `awaiting`: it stands in no line until another model is ready than the one that it is compared with.
    """

    AWAITING = "awaiting"
    QUEUED = "queued"
    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


OPEN = (Status.AWAITING, Status.QUEUED, Status.STREAMING)


class Message(models.Model):
    """A person's message, or a reply to one.

    Messages with the same parent are versions of each other, except for comparisons.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    # Of a comparison: the reply beside which it stands. Nothing answers a comparison, and no branch leads through it.
    compared_with = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="comparisons")
    role = models.CharField(max_length=16, choices=Role)
    status = models.CharField(max_length=16, choices=Status)
    # Counts the moves from state to state, so that a page can tell an older snapshot that comes late.
    revision = models.PositiveIntegerField(default=0)
    # The page's own name for a message that it sends, so that sending it again makes no second one.
    client_id = models.UUIDField(null=True)
    text = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    reasoning_seconds = models.FloatField(null=True)
    html = models.TextField(blank=True)
    model = models.CharField(max_length=255, blank=True)
    server = models.PositiveSmallIntegerField(null=True)  # whose model that is: the one that was last asked
    # Models that began a reply which another one had to go on with, and where (characters) each stopped.
    handovers = models.JSONField(default=list)
    usage = models.JSONField(null=True)
    finish_reason = models.CharField(max_length=32, blank=True)
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=32, blank=True)

    # Who answers: the claim names one attempt, and what is written under an older claim changes nothing.
    origin = models.CharField(max_length=128, blank=True)
    claim = models.UUIDField(null=True)
    lease = models.PositiveBigIntegerField(null=True)
    left_out = models.PositiveIntegerField(default=0)  # oldest messages that the context had no room for
    attempts = models.PositiveSmallIntegerField(default=0)  # failed attempts; being cut by a switch is none
    # Tokens of its parts so far that are in no usage row yet.
    spent_prompt = models.PositiveIntegerField(default=0, db_default=0)
    spent_completion = models.PositiveIntegerField(default=0, db_default=0)
    # How often it was put back since its text last grew, because its process died or froze.
    revivals = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    stop_requested = models.DateTimeField(null=True)

    created_at = models.DateTimeField(default=timezone.now)
    continued_at = models.DateTimeField(null=True)  # when its reader last asked for more of it
    queued_at = models.DateTimeField(null=True)  # the last time: a reply that is put back is queued again
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "client_id"],
                condition=Q(client_id__isnull=False),
                name="one_message_per_client_id",
            ),
            models.UniqueConstraint(
                fields=["compared_with"],
                condition=Q(compared_with__isnull=False),
                name="one_comparison_per_reply",
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "id"]),
            # Not partial: SQLite takes a partial index only where a query has its condition word by word.
            models.Index(fields=["status", "id"], name="replies_by_status"),
            models.Index(
                fields=["finished_at"], condition=Q(finished_at__isnull=False), name="ended_replies"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.pk} ({self.status})"

    @property
    def continuable(self) -> bool:
        """Whether a model can continue it: a reply with text that was stopped, failed, or reached its length limit.

        A reply that reached REPLY_MAX_CHARS cannot be continued: no reply may be longer.
        """
        cut = self.status in (Status.STOPPED, Status.FAILED)
        limited = self.status == Status.COMPLETE and self.finish_reason == "length"
        return self.role == Role.ASSISTANT and bool(self.text.strip()) and (cut or limited)


class Thumb(models.TextChoices):
    """What a reader thinks of a reply."""

    UP = "up", "good"
    DOWN = "down", "bad"


class Feedback(models.Model):
    """What the reader of a reply says of it. It names nobody, and outlives its message, but for the exchange.

    `question` and `answer` are what the reader saw and chose to attach.
    """

    LONGEST_WORDS = 500  # characters

    message = models.OneToOneField(
        Message, null=True, on_delete=models.SET_NULL, related_name="feedback", editable=False
    )
    model = models.CharField(max_length=255)  # the one that ended the reply
    thumb = models.CharField(max_length=4, choices=Thumb)
    words = models.CharField(max_length=LONGEST_WORDS, blank=True)
    question = models.TextField(blank=True)
    answer = models.TextField(blank=True)  # empty: nothing is attached
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-changed_at", "-id"]
        indexes = [
            models.Index(fields=["-changed_at", "-id"], name="feedback_by_time"),
            models.Index(fields=["model", "thumb"], name="feedback_by_model"),
            models.Index(fields=["model", "-changed_at"], name="feedback_of_model"),
        ]
        verbose_name = verbose_name_plural = "feedback"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.get_thumb_display()}: {self.model}"


class Better(models.TextChoices):
    """Which of two replies to the same message is the better one, for its reader."""

    FIRST = "first", "the reply that was there"
    SECOND = "second", "the comparison"
    SAME = "same", "neither"


class Verdict(models.Model):
    """What the reader of a reply and a comparison says of the two. It names nobody, and outlives both."""

    message = models.OneToOneField(
        Message, null=True, on_delete=models.SET_NULL, related_name="verdict", editable=False
    )
    first = models.CharField(max_length=255)  # the model that ended the reply that was there
    second = models.CharField(max_length=255)  # and that of the comparison
    better = models.CharField(max_length=6, choices=Better)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-changed_at", "-id"]
        indexes = [
            models.Index(fields=["first", "-changed_at"], name="verdicts_by_first"),
            models.Index(fields=["second", "-changed_at"], name="verdicts_by_second"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.first}, {self.second}: {self.better}"
