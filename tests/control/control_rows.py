"""The models of these tests, a switch half-way, and a thread that carries one out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from support.servers import SERVER

from models_admin.models import ACTIVE, State, Switch
from models_admin.switching import ownership, transitions

LLAMA, QWEN, MISTRAL = (
    "Llama-3.1-8B-Instruct",
    "Qwen2.5-Coder-7B-Instruct-Q5",
    "Mistral-7B-Instruct-v0.3-4.0bpw",
)

MakeUser = Callable[..., User]
ALL_THE_WAY = (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING, State.SUCCEEDED)


class Worked(threading.Thread):
    """Carries the next switch out as a worker would, by switching's own moves, without a TabbyAPI."""

    def __init__(self, *states: State, **ending: Any) -> None:
        super().__init__(name="worked", daemon=True)
        self.states = states
        self.ending = ending
        self.cancelled = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            self.error = error
            now = timezone.now()  # whoever waits must not wait for ever
            Switch.objects.filter(state__in=ACTIVE).update(state=State.FAILED, finished_at=now, result="")
        finally:
            connection.close()

    def _work(self) -> None:
        deadline = time.monotonic() + 30
        while (asked := transitions.active(SERVER)) is None:
            assert time.monotonic() < deadline, "nobody asked for a switch"
            time.sleep(0.01)
        switch = ownership.claim(asked.pk)
        assert switch is not None
        for state in self.states[:-1]:
            transitions.move(switch, state)
        transitions.move(switch, self.states[-1], **{"result": switch.target, **self.ending})


def running(state: State = State.LOADING, **fields: Any) -> Switch:
    """A switch to Qwen that stands at `state`."""
    begun = (
        {step.value: 1.0 for step in ALL_THE_WAY[: ALL_THE_WAY.index(state)]} if state in ALL_THE_WAY else {}
    )
    return Switch.objects.create(
        server_id=SERVER,
        **{
            "target": QWEN,
            "previous": LLAMA,
            "source": "admin",
            "drain_seconds": 20,
            "state": state,
            "seconds": begun,
            "owner": "worker",
            "started_at": timezone.now(),
            **fields,
        },
    )
