"""The Celery application: `celery -A gantry_site worker` and `celery -A gantry_site beat`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, Task
from celery.signals import beat_init, celeryd_init, setup_logging, task_prerun

from models_admin import log_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")

# How much less urgent to the system Celery's processes are than web processes, for which people wait token by token.
LESS_URGENT = 5

app = Celery("gantry")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Do nothing: Django's settings configure logging, and a receiver keeps Celery from setting a level of its own."""


@celeryd_init.connect
@beat_init.connect
def _be_less_urgent(**_: Any) -> None:
    """Leave the cores to the web processes from now on, when all is imported and no thread has begun.

    Not before: a switch may be waiting for a worker that has to start, which is two seconds of work, and where all cores
    are busy one that is less urgent gets a third of what a web process gets.
    """
    os.nice(LESS_URGENT)


@task_prerun.connect
def _set_request_id(task: Task, **_: Any) -> None:
    """Have the task's log lines carry the id of the request that asked for it."""
    log_context.request_id.set(log_context.accepted_id((task.request.headers or {}).get("request_id") or ""))
