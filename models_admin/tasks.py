"""Celery's tasks: each a line or two into the module that decides."""

from __future__ import annotations

from celery import shared_task

from models_admin import idempotency, rules, running, tabby_findings, upkeep, wish_ends, worker_loop

__all__ = ["worker_loop"]  # what a worker does without tasks begins with its process


@shared_task
def run_switch(switch_id: int) -> None:
    """Carry a switch out; does nothing if another worker has it or it has ended."""
    running.run(switch_id)


@shared_task
def refresh_catalog() -> None:
    """Ask TabbyAPI for its models and for what is loaded."""
    upkeep.refresh()
    tabby_findings.remember()


@shared_task
def look_after() -> None:
    """Look again for a TabbyAPI that was out of reach, close requests."""
    upkeep.look_after()
    wish_ends.look_after()


@shared_task
def follow_rules() -> None:
    """Do what the automation rules say is due."""
    rules.evaluate()


@shared_task
def forget_repeat_keys() -> None:
    """Delete the Idempotency-Keys that count no more."""
    idempotency.forget()
