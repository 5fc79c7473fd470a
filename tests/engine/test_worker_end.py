"""A worker that ends waits a moment for the switches that its own threads carry out."""

from __future__ import annotations

import threading

import pytest

from models_admin.ops import worker
from models_admin.ops.worker import WorkerLoop


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the worker takes its name off the list. One switch is carried out by nobody."""
    left = threading.Event()
    monkeypatch.setattr(WorkerLoop, "_beat", lambda self: None)
    monkeypatch.setattr(WorkerLoop, "_run_missed_tasks", lambda self: None)
    monkeypatch.setattr(worker.ownership, "orphans", lambda server: [7])
    monkeypatch.setattr(worker.worker_heartbeats, "leave", left.set)
    return left


@pytest.mark.django_db(transaction=True)
def test_a_switch_that_ends_just_now_is_waited_for(
    left: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gone_before = threading.Event(), []

    def run(switch_id: int) -> None:
        begun.set()
        if not gone_before:
            gone_before.append(left.wait(1))

    monkeypatch.setattr(worker.runner, "run", run)
    loop = WorkerLoop()
    loop.start()
    assert begun.wait(30)
    loop.stop()
    assert gone_before == [False]


@pytest.mark.django_db(transaction=True)
def test_a_switch_that_takes_long_is_left_to_others(
    left: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ends = threading.Event(), threading.Event()

    def run(switch_id: int) -> None:
        begun.set()
        ends.wait(60)

    monkeypatch.setattr(worker.runner, "run", run)
    monkeypatch.setattr(worker, "FINISH_SECONDS", 0.1)
    loop = WorkerLoop()
    loop.start()
    assert begun.wait(30)
    loop.stop()
    assert left.is_set()
    assert not ends.is_set()
    ends.set()
