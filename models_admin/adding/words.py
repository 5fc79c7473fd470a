"""A download in words and numbers: the same for the admin site, the API and the command."""

from __future__ import annotations

from django.utils import timezone
from typing_extensions import TypedDict

from models_admin.model_files.report import gigabytes
from models_admin.models import DownloadState, ModelDownload, Source
from models_admin.page_schema import Moment


class Download(TypedDict):
    """A download as it is now; `line` says it in words for people. What is not known is null."""

    id: int
    state: DownloadState
    repository: str
    revision: str
    folder: str
    include: list[str]
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_second: float | None
    seconds_left: float | None
    elapsed_seconds: float
    by: str
    source: Source
    error: str
    error_kind: str
    advice: str
    created_at: Moment
    finished_at: Moment | None
    line: str


def describe(row: ModelDownload) -> Download:
    """Return a download for the API, the command and pages."""
    end = row.finished_at or timezone.now()
    elapsed = (end - (row.started_at or row.created_at)).total_seconds()
    return {
        "id": row.pk,
        "state": DownloadState(row.state),
        "repository": row.repository,
        "revision": row.revision,
        "folder": row.folder,
        "include": row.include,
        "bytes_done": row.bytes_done,
        "bytes_total": row.bytes_total,
        "bytes_per_second": row.bytes_per_second,
        "seconds_left": _seconds_left(row),
        "elapsed_seconds": round(max(0.0, elapsed), 1),
        "by": row.requested_by.get_username() if row.requested_by else "",
        "source": Source(row.source),
        "error": row.error,
        "error_kind": row.error_kind,
        "advice": row.advice,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "line": _line(row, elapsed),
    }


def _seconds_left(row: ModelDownload) -> float | None:
    if not row.open or not row.bytes_total or row.bytes_done is None or not row.bytes_per_second:
        return None
    return round((row.bytes_total - row.bytes_done) / row.bytes_per_second, 1)


def _line(row: ModelDownload, elapsed: float) -> str:
    """Return how far it is, or how it ended, such as “3.1 GB of 12.4 GB (25%), 45.0 MB a second, 3 min left”."""
    match DownloadState(row.state):
        case DownloadState.QUEUED:
            return "Waiting for a worker"
        case DownloadState.DONE:
            size = f": {gigabytes(row.bytes_done)}" if row.bytes_done else ""
            return f"Downloaded in {spent(elapsed)}{size}"
        case DownloadState.FAILED | DownloadState.CANCELLED:
            return row.error
    if row.cancel_requested:
        return "Being cancelled…"
    parts = [f"for {spent(elapsed)} so far"]
    if row.bytes_done is not None:
        parts = [gigabytes(row.bytes_done)]
        if row.bytes_total:
            parts = [
                f"{parts[0]} of {gigabytes(row.bytes_total)} ({100 * row.bytes_done // row.bytes_total}%)"
            ]
        if row.bytes_per_second:
            parts.append(f"{row.bytes_per_second / 1024**2:,.1f} MB a second")
        if (left := _seconds_left(row)) is not None:
            parts.append(f"{spent(left)} left")
    return f"Downloading: {', '.join(parts)}"


def spent(seconds: float) -> str:
    """Return so many seconds in words, such as “3 min 20 s”."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
