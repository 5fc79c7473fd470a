"""A model folder with thousands of entries is written down without holding up anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from support.servers import SERVER

from models_admin.automation import upkeep
from models_admin.models import TabbyModel
from models_admin.servers import catalog
from models_admin.tabby.wire import ModelCard

MANY = [f"model-{number}-7B-{bits}.0bpw" for number in range(700) for bits in (2, 3, 4)]


class Listing:
    """A TabbyAPI with these models and none of them loaded."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def models(self) -> list[str]:
        return self.names

    def current(self) -> ModelCard | None:
        return None

    def permission(self) -> str:
        return "admin"


class Transactions:
    """Which tables each transaction has written or locked, and how many parameters its largest statement had."""

    def __init__(self) -> None:
        self.ended: list[set[str]] = []
        self.running: set[str] | None = None
        self.largest = 0
        self.statements = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if "models_admin" not in sql:
            return answer
        self.statements += 1
        self.largest = max(self.largest, len(params or ()))
        if connection.in_atomic_block:
            if self.running is None:
                self.running = set()
                transaction.on_commit(self._end)
            self.running |= {each for each in ("tabbymodel", "backend") if f"models_admin_{each}" in sql}
        return answer

    def _end(self) -> None:
        assert self.running is not None
        self.ended.append(self.running)
        self.running = None


@pytest.fixture
def transactions() -> Any:
    seen = Transactions()
    with connection.execute_wrapper(seen):
        yield seen


@pytest.mark.django_db(transaction=True)
def test_the_lock_of_admissions_is_not_held_while_models_are_written(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    tabby: Any = Listing(MANY)
    assert len(upkeep.refresh(SERVER, tabby).added) == len(MANY)
    assert {"tabbymodel"} in transactions.ended
    assert {"tabbymodel", "backend"} not in transactions.ended
    assert TabbyModel.objects.get(name="model-8-7B-4.0bpw").bits == 4.0

    tabby.names = MANY[600:]
    found = upkeep.refresh(SERVER, tabby)
    assert (found.added, len(found.vanished)) == ([], 600)
    assert TabbyModel.objects.filter(vanished_at=None).count() == len(MANY) - 600
    tabby.names = MANY
    assert sorted(upkeep.refresh(SERVER, tabby).added) == sorted(MANY[:600])

    assert {"tabbymodel", "backend"} not in transactions.ended
    assert transactions.largest < 10 * catalog.BATCH + 10
    assert transactions.statements < 200
