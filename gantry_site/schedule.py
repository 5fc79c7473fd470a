"""What a worker does again and again. A nudge that is not taken until the next one is due is not worth keeping."""

from __future__ import annotations

from typing import Any

REGULAR = {
    "look after switches": ("look_after", 3.0),
    "follow the rules": ("follow_rules", 5.0),
    "forget the usage of single replies": ("forget_usage", 3600.0),
    "forget old Idempotency-Keys": ("forget_repeat_keys", 3600.0),
}


def regular(refresh_seconds: float) -> dict[str, dict[str, Any]]:
    """Return Celery's beat schedule, in which the catalog is refreshed that often."""
    tasks = {
        name: {
            "task": f"models_admin.tasks.{task}",
            "schedule": seconds,
            "options": {"expires": int(seconds)},
        }
        for name, (task, seconds) in REGULAR.items()
    }
    refreshed = {"task": "models_admin.tasks.refresh_catalog", "schedule": refresh_seconds}
    return {"refresh the catalog": refreshed, **tasks}
