"""A new switch is given to a worker by the name of a task."""

from __future__ import annotations

import pytest
from celery import current_app
from support.servers import SERVER

from models_admin import tasks
from models_admin.models import Source, Switch
from models_admin.servers import state_row
from models_admin.switching import transitions

pytestmark = pytest.mark.django_db


def test_a_new_switch_is_given_to_the_task_that_carries_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: sent.append(args))
    switch = Switch.objects.create(
        server=state_row.row(SERVER), target="", source=Source.API, drain_seconds=0
    )
    transitions.announce(switch)
    [(name, number)] = sent
    assert current_app.tasks[name] is current_app.tasks[tasks.run_switch.name]
    assert number == switch.pk
