"""Models that TabbyAPI is to download from its hub into its model folder."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_admin.models.servers import Server
from models_admin.models.switches import Source


class DownloadState(models.TextChoices):
    """Where a download stands; DOWNLOADS_OPEN says which states are not its end."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


DOWNLOADS_OPEN = (DownloadState.QUEUED, DownloadState.DOWNLOADING)


class ModelDownload(models.Model):
    """One repository that a server downloads into a folder, and how that went. A token for the hub is never kept here."""

    server = models.ForeignKey(
        Server, on_delete=models.PROTECT, related_name="downloads", db_index=False, editable=False
    )
    repository = models.CharField(max_length=255)
    revision = models.CharField(max_length=255, blank=True)
    folder = models.CharField(max_length=255)
    include = models.JSONField(default=list)  # patterns of names of files; none: all
    with_token = models.BooleanField(default=False)
    source = models.CharField(max_length=16, choices=Source)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="downloads"
    )

    state = models.CharField(max_length=16, choices=DownloadState, default=DownloadState.QUEUED)
    owner = models.CharField(max_length=128, blank=True)
    heartbeat = models.DateTimeField(default=timezone.now)
    cancel_requested = models.DateTimeField(null=True)
    # When TabbyAPI was last asked for it, by whichever worker.
    sent_at = models.DateTimeField(null=True)
    # Bytes in the folder, and when it is whole; null: not known.
    bytes_done = models.BigIntegerField(null=True)
    bytes_total = models.BigIntegerField(null=True)
    bytes_per_second = models.FloatField(null=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=32, blank=True)
    advice = models.TextField(blank=True)

    class Meta:
        verbose_name = "download of a model"
        verbose_name_plural = "downloads of models"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "folder"],
                condition=Q(state__in=DOWNLOADS_OPEN),
                name="one_download_into_a_folder",
            )
        ]
        indexes = [models.Index(fields=["state", "heartbeat"], name="downloads_by_state")]

    def __str__(self) -> str:
        return f"{self.repository} into {self.folder} ({self.get_state_display()})"

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state in DOWNLOADS_OPEN
