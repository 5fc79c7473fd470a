"""The Celery application: `celery -A gantry_site worker` and `celery -A gantry_site beat`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, task_prerun

from models_admin import log_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")

app = Celery("gantry")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Do nothing: Django's settings configure logging, and a receiver keeps Celery from setting a level of its own."""


@task_prerun.connect
def _set_request_id(task: Task, **_: Any) -> None:
    """Have the task's log lines carry the id of the request that asked for it."""
    log_context.request_id.set(log_context.accepted_id((task.request.headers or {}).get("request_id") or ""))
