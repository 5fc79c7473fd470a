"""A lease whose reply ended in an error of Gantry's own is not kept alive by the process that holds it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.rivals import let_holders_die
from support.servers import SERVER

from chat import progress
from chat.dispatch import Dispatcher
from models_admin import db_threads, process
from models_admin.models import Lease
from models_admin.servers import state_row


def leases() -> set[int]:
    return set(Lease.objects.values_list("pk", flat=True))


def held(subject: str) -> int:
    return Lease.objects.create(server=state_row.row(SERVER), holder=process.name(), subject=subject).pk


@pytest.mark.django_db
def test_the_lease_of_a_dead_process_goes_where_no_reply_belongs_to_it() -> None:
    held("reply 1")
    assert progress.revive() == []
    assert len(leases()) == 1
    let_holders_die()
    assert progress.revive() == []
    assert leases() == set()


@pytest.mark.django_db(transaction=True)
async def test_a_lease_without_a_reply_is_released_and_the_others_stay() -> None:
    kept, stray = await db_threads.write(held, "reply 1"), await db_threads.write(held, "reply 2")
    dispatcher = Dispatcher()
    live: Any = SimpleNamespace(work=SimpleNamespace(lease=kept, message=1), end=lambda verdict: None)
    dispatcher.lives[1] = live
    await dispatcher._look_at_leases()
    assert await db_threads.read(leases) == {kept, stray}
    await dispatcher._look_at_leases()
    assert await db_threads.read(leases) == {kept}
