"""Celery's tasks: each a line or two into the module that decides."""

from __future__ import annotations

from celery import shared_task

from models_admin.api import idempotency
from models_admin.automation import rules, upkeep
from models_admin.checks import running as checks
from models_admin.model_files import looks
from models_admin.model_requests import endings
from models_admin.ops import lookers, worker
from models_admin.servers import diagnosis
from models_admin.switching import runner
from models_admin.usage import recording

FILES_SECONDS = 3.0  # of each round, for models' files
__all__ = ["worker"]  # what a worker does without tasks begins with its process


@shared_task
def run_switch(switch_id: int) -> None:
    """Carry a switch out; does nothing if another worker has it or it has ended."""
    runner.run(switch_id)


@shared_task
def run_checks(server: int) -> None:
    """Run all checks of the model that a server has loaded, while it serves."""
    checks.now(server)


@shared_task
def refresh_catalog() -> None:
    """Ask each TabbyAPI for its models and for what is loaded; look at the files of models that are new to Gantry."""
    lookers.look("refresh", upkeep.refresh, diagnosis.remember)
    looks.refresh(FILES_SECONDS)


@shared_task
def look_after() -> None:
    """Look again for a TabbyAPI that was out of reach, close requests."""
    lookers.look("look after", upkeep.look_after)
    endings.look_after()


@shared_task
def follow_rules() -> None:
    """Do what the automation rules say is due."""
    rules.evaluate_all()


@shared_task
def forget_repeat_keys() -> None:
    """Delete the Idempotency-Keys that count no more."""
    idempotency.forget()


@shared_task
def forget_usage() -> None:
    """Delete the usage of single replies of long ago; the sums of the days stay."""
    recording.forget()
