"""Rules where there are several servers: at the start and when idle they act on each, at a set time on all together."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from models_admin.automation import rules
from models_admin.models import Rule, Server, Source, State, Switch, TabbyModel
from models_admin.servers import known, presence, state_row
from models_admin.switching import gate

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SUNDAY = MONDAY - timedelta(days=1)


@pytest.fixture(autouse=True)
def two(settings: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """gpu1 and gpu2, which both run “usual”, and have started with Gantry."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST = "gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000"
    known._rows.clear()
    first, second = known.all_servers()
    for name in ("usual", "coder"):
        TabbyModel.objects.create(name=name)
    for server in (first, second):
        presence.mark(server, ["usual", "coder"], SUNDAY)
        state_row.set_started(server, MONDAY - MINUTE)
        runs(server, "usual", SUNDAY)
    return first, second


def runs(server: int, model: str, since: datetime = MONDAY) -> None:
    """Let this be what a server has said; where it said that nothing is loaded, it had started anew."""
    state_row.row(server)
    Server.objects.filter(pk=server).update(
        model=model,
        loaded_at=since if model else None,
        seen_at=MONDAY,
        unreachable_since=None,
        empty_since=None if model else since,
        anew=not model,
    )


def evaluate(now: datetime = MONDAY) -> None:
    rules.evaluate_all(now)


def asked() -> list[tuple[str, str]]:
    """What the rules have asked for, and of whom, oldest first."""
    rows = Switch.objects.filter(source=Source.RULE).order_by("pk")
    return [(known.name(each.server_id), each.target) for each in rows]


def end_all() -> None:
    for each in Switch.objects.filter(finished_at=None):
        runs(each.server_id, each.target)
    Switch.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())


def test_at_the_start_each_that_is_empty_is_given_the_model_once(two: tuple[int, int]) -> None:
    rule = Rule.objects.create(trigger="start", target="coder", handled_until=SUNDAY)
    Server.objects.filter(pk=two[0]).update(unreachable_since=MONDAY)
    runs(two[1], "")
    evaluate()
    evaluate()
    assert asked() == [("gpu2", "coder")], "gpu1 is waited for"
    end_all()
    runs(two[0], "")
    evaluate()
    assert asked() == [("gpu2", "coder"), ("gpu1", "coder")]
    end_all()
    for server in two:
        runs(server, "")
    evaluate()
    assert len(asked()) == 2, "what is unloaded later stays so"
    rules.arm(rule)
    assert rule.handled == {}


def test_at_the_start_what_is_loaded_already_stays_and_is_told_with_its_server(two: tuple[int, int]) -> None:
    rule = Rule.objects.create(trigger="start", target="coder", handled_until=SUNDAY)
    runs(two[0], "")
    rules.evaluate(two[1], MONDAY)
    rule.refresh_from_db()
    assert rule.note == "gpu2: Nothing to do: usual was loaded already."
    evaluate()
    assert asked() == [("gpu1", "coder")]


def test_each_that_is_idle_is_unloaded_but_none_that_writes(two: tuple[int, int]) -> None:
    Rule.objects.create(trigger="idle", idle_minutes=30)
    gate.lease(two[0], "web", ["reply 1"])
    evaluate()
    assert asked() == [("gpu2", "")]
    end_all()
    gate.release(list(gate.touch("web")))
    evaluate(MONDAY + MINUTE)
    evaluate(MONDAY + MINUTE)
    assert asked() == [("gpu2", ""), ("gpu1", "")]
    assert Switch.objects.filter(rollout=None).count() == 2, "each by itself"


def test_a_server_without_a_model_keeps_no_other_from_being_unloaded(two: tuple[int, int]) -> None:
    Rule.objects.create(trigger="idle", idle_minutes=30)
    runs(two[0], "")
    evaluate()
    assert asked() == [("gpu2", "")]


def test_a_set_time_is_one_for_all_and_over_only_where_all_have_its_model(two: tuple[int, int]) -> None:
    rule = Rule.objects.create(
        trigger="time", at=time(8), target="coder", only_if_idle=False, handled_until=SUNDAY
    )
    runs(two[0], "coder")
    rules.evaluate(two[1], MONDAY)
    assert asked() == []
    evaluate()
    assert asked() == [("gpu1", "coder")], "the first of a rollout"
    assert Switch.objects.get().rollout is not None
    Switch.objects.all().delete()
    Rule.objects.update(handled_until=SUNDAY)
    runs(two[1], "coder")
    evaluate()
    rule.refresh_from_db()
    assert (asked(), rule.note) == ([], "Nothing to do: coder was loaded already.")
