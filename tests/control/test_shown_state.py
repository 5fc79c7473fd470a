"""How a page names the state that it shows: what changes the name makes every open Models page ask for itself anew."""

from __future__ import annotations

from typing import Any

import pytest
from control_rows import running
from django.db import connection
from django.test import Client
from support.servers import SERVER

from models_admin.models import Source, State, Switch, TabbyModel
from models_admin.presentation import snapshots
from models_admin.presentation.banner import key, step
from models_admin.servers import state_row
from models_admin.switching import transitions
from models_admin.tabby.wire import ModelCard

MODELS_PAGE = "/admin/models_admin/tabbymodel/"


def names() -> tuple[str, str]:
    snapshot = snapshots.current(SERVER)
    return key(snapshot), step(snapshot)


@pytest.mark.parametrize(
    ("before", "after", "of_banner", "of_rows"),
    [
        (State.QUEUED, State.DRAINING, True, False),  # it then says “Switching from … to …”
        (State.DRAINING, State.UNLOADING, False, True),
        (State.UNLOADING, State.LOADING, False, True),
        (State.LOADING, State.VERIFYING, False, False),
        (State.VERIFYING, State.ROLLING_BACK, True, False),
    ],
)
def test_a_step_changes_the_names_of_what_words_it(
    catalog: dict[str, TabbyModel], before: State, after: State, *, of_banner: bool, of_rows: bool
) -> None:
    switch = running(before)
    old = names()
    Switch.objects.filter(pk=switch.pk).update(state=after)
    new = names()
    assert (old[0] != new[0], old[1] != new[1]) == (of_banner, of_rows)


def test_progress_changes_no_name(catalog: dict[str, TabbyModel]) -> None:
    switch = running(State.LOADING)
    old = names()
    Switch.objects.filter(pk=switch.pk).update(percent=99, detail="almost")
    assert names() == old


def test_a_catalog_that_was_read_and_is_the_same_tells_pages_nothing(catalog: dict[str, TabbyModel]) -> None:
    old = snapshots.current(SERVER)
    state_row.set_catalog_read(SERVER)
    assert snapshots.current(SERVER) == old


def test_only_who_sees_requests_asks_for_them(
    admin_client: Client, viewer: Client, catalog: dict[str, TabbyModel]
) -> None:
    told = [" data-shown" in client.get(MODELS_PAGE).content.decode() for client in (admin_client, viewer)]
    assert told == [True, False]


def test_a_snapshot_is_of_one_moment(catalog: dict[str, TabbyModel]) -> None:
    """What is loaded and which change brought it go together, though another process commits between two statements."""
    running(State.SUCCEEDED)
    statements = 0

    def another_process(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        found = execute(sql, params, many, context)
        statements += 1
        if statements == 1:
            transitions.record(SERVER, source=Source.OUTSIDE, target="another-7B", previous="")
            state_row.set_loaded(SERVER, ModelCard("another-7B", {}))
        return found

    with connection.execute_wrapper(another_process):
        snapshot = snapshots.current(SERVER)
    assert statements > 1
    assert snapshot["last"] is None or snapshot["last"]["target"] != "another-7B"
    assert snapshot["model"] != "another-7B"
