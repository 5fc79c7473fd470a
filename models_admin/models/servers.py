"""TabbyAPI servers: what each runs, the models that it has, and the workers that look after it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class TabbyModel(models.Model):
    """A model in TabbyAPI's catalog; `name` is its directory there, and the id that TabbyAPI is given."""

    name = models.CharField(max_length=255, unique=True)
    display_name = models.CharField(max_length=255, blank=True)
    parameters_b = models.FloatField("parameters (billions)", null=True, blank=True)
    quantization = models.CharField(max_length=32, blank=True)
    bits = models.FloatField("bits per weight", null=True, blank=True)
    family = models.CharField(max_length=64, blank=True)
    tags = models.JSONField(default=list, blank=True)
    notes = models.TextField(blank=True)
    load_options = models.JSONField(default=dict, blank=True)
    visible = models.BooleanField("visible in chat", default=True)
    # What its files say, by the report of model_files/report.py, and when they were looked at; {} and null: never.
    files = models.JSONField(default=dict, blank=True, editable=False)
    files_at = models.DateTimeField(null=True, blank=True, editable=False)
    first_seen = models.DateTimeField(default=timezone.now, editable=False)
    last_seen = models.DateTimeField(default=timezone.now, editable=False)
    vanished_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_loaded = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "model"
        ordering = ["name"]
        permissions = [
            ("switch", "Can switch the loaded model"),
            ("unload", "Can unload the model"),
            ("manage", "Can manage models and automation"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.name

    @property
    def present(self) -> bool:
        """Whether TabbyAPI listed it when last asked."""
        return self.vanished_at is None

    @classmethod
    def offered(cls) -> models.QuerySet[TabbyModel]:
        """Return the models that may be chosen: TabbyAPI has them, and they are not retired."""
        return cls.objects.filter(vanished_at=None, retired_at=None)


class Server(models.Model):
    """What a TabbyAPI server was last seen to run. The lock on its row orders admissions and switches there."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.CharField(max_length=32, blank=True)  # as in TABBY_HOST; '' where that names none
    model = models.CharField(max_length=255, blank=True)
    parameters = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    # How what the card shows (`parameters`) differs from the options that it was loaded with: see servers/differences.py.
    differences = models.JSONField(default=list)
    loaded_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    unreachable_since = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)
    advice = models.TextField(blank=True)
    catalog_at = models.DateTimeField(null=True)
    # What is wrong with TabbyAPI or its keys: a list of page_schema.Finding.
    findings = models.JSONField(default=list)
    # Counts changes of what is loaded. An answer that TabbyAPI was asked for before the last change must not be written.
    epoch = models.PositiveBigIntegerField(default=0)
    # The model that somebody last chose, whatever has happened to TabbyAPI since (KEEP_MODEL=last loads it again).
    wanted = models.CharField(max_length=255, blank=True)
    # The number of the switch that chose it: the highest of all servers has chosen the team's model.
    chosen_by = models.PositiveBigIntegerField(default=0)
    # Since when it is given no replies, because somebody has taken it out of service; null: it is in service.
    out_of_service_since = models.DateTimeField(null=True)
    # When it was last lost, and how often it was within a short time; until when it is given no replies, as it is just back.
    lost_at = models.DateTimeField(null=True)
    losses = models.PositiveSmallIntegerField(default=0)
    settles_until = models.DateTimeField(null=True)
    # Since when TabbyAPI has said at each look that nothing is loaded; null: it names a model, or could not be asked.
    empty_since = models.DateTimeField(null=True)
    # TabbyAPI was seen not to run, and has named no model since: no load is under way there.
    anew = models.BooleanField(default=False)
    # TabbyAPI has lost its model, and not by Gantry's doing: KEEP_MODEL is loaded when it is certainly empty.
    keep_due = models.BooleanField(default=False)
    # When Gantry last started: a worker came, and no other was alive.
    started_at = models.DateTimeField(null=True)

    class Meta:
        # The word that people have read in lists of permissions.
        verbose_name = "backend"
        verbose_name_plural = "backend"
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=~models.Q(name=""), name="one_server_per_name")
        ]

    def __str__(self) -> str:
        return self.name or self.model or "no model loaded"


class Presence(models.Model):
    """A model in the model folder of one of several servers; TabbyModel has what is the same on all of them."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="presences", db_index=False)
    model = models.CharField(max_length=255)
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    vanished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["server", "model"], name="one_presence_per_server")]
        indexes = [models.Index(fields=["model"], name="presences_by_model")]

    def __str__(self) -> str:
        return f"{self.model} on server {self.server_id}"


class Worker(models.Model):
    """A Celery worker and its last heartbeat."""

    name = models.CharField(max_length=128, primary_key=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["seen_at"])]

    def __str__(self) -> str:
        return self.name
