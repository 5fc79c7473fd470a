"""What is gone is known only where TabbyAPI lists everything: to whoever has its admin key."""

from __future__ import annotations

from typing import Any

import pytest
from support.servers import SERVER

from models_admin.automation import upkeep
from models_admin.models import TabbyModel
from models_admin.servers import state_row
from models_admin.switching import transitions
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db


class Listed:
    """A TabbyAPI that lists the loaded model, as it does for an API key."""

    def __init__(self, permission: str) -> None:
        self.permission = lambda: permission

    def models(self) -> list[str]:
        return ["loaded"]

    def current(self) -> ModelCard:
        return ModelCard("loaded", {})


@pytest.mark.parametrize(("permission", "gone"), [("admin", ["other"]), ("api", [])])
def test_what_an_api_key_is_not_shown_is_not_gone(
    permission: str, gone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    for name in ("loaded", "other"):
        TabbyModel.objects.create(name=name)
    tabby: Any = Listed(permission)
    assert upkeep.refresh(SERVER, tabby).vanished == gone
    assert list(TabbyModel.objects.exclude(vanished_at=None).values_list("name", flat=True)) == gone


def test_a_name_that_is_not_known_may_be_the_keys_fault() -> None:
    assert "key" not in str(transitions.UnknownModel(SERVER, "new"))
    found = {
        "id": "key",
        "level": "error",
        "title": "The key may not switch models",
        "detail": "",
        "hint": "Set it.",
    }
    state_row.set_findings(SERVER, [found])
    told = str(transitions.UnknownModel(SERVER, "new"))
    assert told.endswith("The key may not switch models, so TabbyAPI may have more. Set it.")
