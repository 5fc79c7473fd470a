"""Of several servers, a model is tried out on one for which another stands in, and not beside a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from models_admin.models import Source, Switch, TabbyModel
from models_admin.servers import known, presence, state_row
from models_admin.switching import rollout, transitions, trying
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """gpu1 and gpu2, both with “usual” loaded, and both with “new”."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST = "gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000"
    known._rows.clear()
    first, second = known.all_servers()
    TabbyModel.objects.create(name="usual")
    TabbyModel.objects.create(name="new")
    for server in (first, second):
        presence.mark(server, ["usual", "new"], timezone.now())
        runs(server, "usual")
    yield first, second
    known._rows.clear()


def runs(server: int, model: str) -> None:
    with transaction.atomic():
        state_row.set_loaded(server, ModelCard(model, {}) if model else None)


def test_it_is_one_for_which_another_stands_in(two: tuple[int, int]) -> None:
    first, second = two
    asked = trying.request_on([], "new", source=Source.API)
    assert (asked.server_id, asked.tries, asked.rollout) == (first, True, None)
    transitions.cancel(asked, user=None)
    runs(second, "")
    assert trying.request_on([], "new", source=Source.API).server_id == second, (
        "the first is the only one that answers"
    )


def test_it_is_the_one_that_is_named(two: tuple[int, int]) -> None:
    assert trying.request_on(["gpu2"], "new", source=Source.API).server_id == two[1]


@pytest.mark.parametrize(
    ("target", "names", "words"),
    [
        ("new", ["gpu1", "gpu2"], "name only one"),
        ("", [], "Say which model"),
        ("new", ["gpu9"], "There is no server"),
    ],
)
def test_what_makes_no_sense_is_refused(target: str, names: list[str], words: str) -> None:
    with pytest.raises(transitions.SwitchRefused, match=words):
        trying.request_on(names, target, source=Source.API)
    assert not Switch.objects.exists()


def test_not_beside_a_rollout(two: tuple[int, int]) -> None:
    rollout.request("new", two, source=Source.API)
    with pytest.raises(rollout.Busy):
        trying.request_on(["gpu2"], "usual", source=Source.API)
    assert Switch.objects.count() == 1
