"""Checks that a model has to pass, and what came of them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_admin.models.servers import Server
from models_admin.models.switches import Switch


class Check(models.Model):
    """A prompt, and what the answer to it must fulfil. checks/ has the bounds of each field, and judges answers.

    It is for the model `model`, for those with the tag `tag`, or, where both are empty, for all.
    """

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField("on", default=True)
    before_serving = models.BooleanField("before serving", default=True)
    model = models.CharField(max_length=255, blank=True)
    tag = models.CharField(max_length=64, blank=True)

    prompt = models.TextField()
    system_prompt = models.TextField(blank=True)
    sampling = models.JSONField(default=dict, blank=True)
    image = models.TextField(blank=True)  # a data: URL
    tools = models.JSONField(default=list, blank=True)

    # What the answer must fulfil. Empty: it need not.
    answers = models.BooleanField("is not empty", default=True)
    ends_within = models.PositiveIntegerField("ends by itself within", null=True, blank=True)  # tokens
    no_marks = models.BooleanField("no marks of a template", default=False)
    no_repeats = models.BooleanField("no endless repeats", default=False)
    no_gibberish = models.BooleanField("no gibberish", default=False)
    contains = models.TextField(blank=True)  # a text on each line
    excludes = models.TextField("does not contain", blank=True)  # the same
    matches = models.CharField(max_length=300, blank=True)  # a regular expression of linear time
    json_schema = models.JSONField("is JSON by this schema", null=True, blank=True)
    calls_tool = models.CharField("calls the tool", max_length=64, blank=True)
    language = models.CharField("is written in", max_length=8, blank=True)
    first_token_within = models.FloatField("first token within", null=True, blank=True)  # seconds
    least_rate = models.FloatField("tokens a second at least", null=True, blank=True)
    least_share = models.PositiveSmallIntegerField(
        "of its own past speed at least", null=True, blank=True
    )  # %
    # An answer that is not whole when the time is over fails; else it is not judged.
    must_end = models.BooleanField("fails if it takes too long", default=False)

    class Meta:
        ordering = ["name"]
        default_permissions = ()  # `manage` is the permission for them

    def __str__(self) -> str:
        return self.name


class RunKind(models.TextChoices):
    """Why checks were run."""

    SERVING = "serving", "before serving"
    NOW = "now", "run now"
    TRY = "try", "tried out"


class Verdict(models.TextChoices):
    """What an answer is worth."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "unjudged", "not judged"


class CheckRun(models.Model):
    """The checks that a model went through together: behind the closed gate of `switch`, or while it served."""

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="+", db_index=False)
    switch = models.ForeignKey(Switch, null=True, on_delete=models.CASCADE, related_name="check_runs")
    model = models.CharField(max_length=255)
    kind = models.CharField(max_length=8, choices=RunKind)
    verdict = models.CharField(max_length=8, choices=Verdict)
    started_at = models.DateTimeField(default=timezone.now)
    seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["model", "-id"], name="check_runs_by_model")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"checks of {self.model} ({self.get_verdict_display()})"


class CheckResult(models.Model):
    """What came of one check: what was asked, and what came, both bounded."""

    run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="results")
    check_row = models.ForeignKey(Check, null=True, on_delete=models.SET_NULL, related_name="results")
    name = models.CharField(max_length=100)  # as it was called then
    verdict = models.CharField(max_length=8, choices=Verdict)
    why = models.TextField(blank=True)
    asked = models.TextField(blank=True)
    answer = models.TextField(blank=True)
    tokens = models.PositiveIntegerField(default=0)
    first_token = models.FloatField(null=True)  # seconds
    rate = models.FloatField(null=True)  # tokens a second

    class Meta:
        ordering = ["id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.get_verdict_display()}"
