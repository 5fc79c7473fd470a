"""The Django project: settings, URLs, the ASGI and Celery applications, and the command `up`."""

from __future__ import annotations

from gantry_site.celery import app as celery_app

__all__ = ["celery_app"]
