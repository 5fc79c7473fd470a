"""KEEP_MODEL: a TabbyAPI that comes back empty is given its model again; an unload through Gantry is left alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from models_admin import backend, catalog
from models_admin.models import Source, Switch, TabbyModel
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    for name in ("usual", "other"):
        TabbyModel.objects.create(name=name)


def seen(model: str, wanted: str = "") -> None:
    """Let `model` be what TabbyAPI was last seen to run."""
    row = backend.row()
    row.model, row.wanted, row.seen_at = model, wanted, timezone.now()
    row.save()


def asked_for() -> list[str]:
    return list(Switch.objects.filter(source=Source.KEEP).values_list("target", flat=True))


@pytest.mark.parametrize(
    ("keep", "expected"), [("usual", ["usual"]), ("last", ["other"]), ("", []), ("gone", [])]
)
def test_an_empty_tabbyapi_is_given_the_model_to_be_kept(
    settings: Any, keep: str, expected: list[str]
) -> None:
    settings.KEEP_MODEL = keep
    seen("other")
    catalog.observe(None, backend.row().epoch)
    assert asked_for() == expected
    assert Switch.objects.filter(source=Source.OUTSIDE, previous="other", target="").count() == 1


def test_last_is_what_somebody_chose_last_not_what_came_from_outside(settings: Any) -> None:
    settings.KEEP_MODEL = "last"
    seen("other", wanted="usual")
    catalog.observe(None, backend.row().epoch)
    assert asked_for() == ["usual"]


def test_what_was_unloaded_through_gantry_stays_unloaded(settings: Any) -> None:
    settings.KEEP_MODEL = "usual"
    seen("")
    catalog.observe(None, backend.row().epoch)
    assert asked_for() == []


def test_another_model_from_outside_is_left_alone(settings: Any) -> None:
    settings.KEEP_MODEL = "usual"
    seen("usual")
    catalog.observe(ModelCard("other", {}), backend.row().epoch)
    assert asked_for() == []
    assert backend.row().model == "other"


def test_an_answer_from_before_the_last_change_is_not_believed() -> None:
    seen("usual")
    catalog.observe(None, backend.row().epoch - 1)
    assert backend.row().model == "usual"
