"""A mark of a snapshot: the whole is only read where that has changed, so it must show all that the whole does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from control_rows import LLAMA, running
from django.contrib.auth.models import User
from django.utils import timezone
from support.plans import asked
from support.servers import SERVER

from models_admin.models import Lease, Load, Server, State, Switch, TabbyModel, Worker
from models_admin.presentation import snapshots

pytestmark = pytest.mark.django_db
TABLE = re.compile(r'(?:FROM|JOIN) "?(\w+)"?')


@pytest.fixture
def _a_switch_has_ended(catalog: dict[str, TabbyModel], make_user: Callable[..., User]) -> None:
    """All that a snapshot shows while nothing is under way: of a switch that somebody asked for, and that has ended."""
    switch = running(State.FAILED, requested_by=make_user("ada"), finished_at=timezone.now())
    Load.objects.create(switch=switch, model=LLAMA, back=False)
    Worker.objects.create(name="another", seen_at=timezone.now())
    Server.objects.filter(pk=SERVER).update(model=LLAMA)


def give_up_a_load() -> object:
    return Load.objects.update(given_up_at=timezone.now())


CHANGES: dict[str, Callable[[], object]] = {
    "the server": lambda: Server.objects.update(trouble="It does not answer."),
    "what the model is called": lambda: TabbyModel.objects.filter(name=LLAMA).update(display_name="Lama"),
    "the switch": lambda: Switch.objects.update(error="Out of memory"),
    "who asked for it": lambda: User.objects.filter(username="ada").update(username="ida"),
    "the worker": lambda: Worker.objects.all().delete(),
    "a reply": lambda: Lease.objects.create(server_id=SERVER, holder="web", subject="reply 1"),
    "a load that goes on": give_up_a_load,
}


@pytest.mark.usefixtures("_a_switch_has_ended")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_the_snapshot_changes_the_mark(change: Callable[[], object]) -> None:
    before = snapshots.current(SERVER)
    mark, whole = snapshots.newer(SERVER, None)
    assert whole == before
    assert snapshots.newer(SERVER, mark) == (mark, None)
    change()
    _, after = snapshots.newer(SERVER, mark)
    assert after == snapshots.current(SERVER) != before


@pytest.mark.usefixtures("_a_switch_has_ended")
def test_so_does_time(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, whole = snapshots.newer(SERVER, None)
    assert whole is not None
    assert whole["last"] is not None
    monkeypatch.setattr(snapshots, "RECENT", timedelta(0))
    mark, whole = snapshots.newer(SERVER, mark)
    assert whole is not None
    assert (whole["last"], whole["worker"]) == (None, True)
    settings.HEARTBEAT_TTL = 0
    _, whole = snapshots.newer(SERVER, mark)
    assert whole is not None
    assert whole["worker"] is False


@pytest.mark.usefixtures("_a_switch_has_ended")
def test_a_mark_is_of_every_table_that_the_snapshot_is_of() -> None:
    with asked() as of_the_whole:
        snapshots.current(SERVER)
    with asked() as of_the_mark:
        snapshots.newer(SERVER, snapshots.newer(SERVER, None)[0])
    tables = [
        {table for sql, _ in found for table in TABLE.findall(sql)} for found in (of_the_whole, of_the_mark)
    ]
    assert tables[0] <= tables[1]
