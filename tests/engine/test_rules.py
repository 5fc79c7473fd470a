"""Which rule is due when, and what comes of it: by the rows alone, at moments that the tests choose."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from support.examples import moments
from support.heartbeats import StillHeartbeat
from support.servers import SERVER

from chat.models import Conversation, Message
from models_admin.automation import rules
from models_admin.models import ACTIVE, Lease, Rule, Server, Source, State, Switch, TabbyModel, Worker
from models_admin.servers import state_row, worker_heartbeats
from models_admin.switching import demand, gate, ownership, runner, transitions
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # 08:00
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _usual_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    for name in ("usual", "coder"):
        TabbyModel.objects.create(name=name)
    loaded("usual", MONDAY - timedelta(days=1))


def loaded(model: str, when: datetime = MONDAY) -> None:
    """Let this be what TabbyAPI has said; where it said that nothing is loaded, it had started anew."""
    empty = {"empty_since": None if model else when, "anew": not model}
    known = {"model": model, "loaded_at": when if model else None, "seen_at": when, **empty}
    Server.objects.update_or_create(pk=1, defaults=known)


def timed(**fields: Any) -> Rule:
    """On weekdays at 08:00, to coder; made on the Sunday before."""
    usual = {
        "trigger": "time",
        "at": time(8),
        "target": "coder",
        "only_if_idle": False,
        "handled_until": MONDAY - timedelta(days=1),
    }
    return Rule.objects.create(**{**usual, **fields})


def idle(**fields: Any) -> Rule:
    return Rule.objects.create(**{"trigger": "idle", "idle_minutes": 30, **fields})


def at_start(target: str = "") -> Rule:
    return Rule.objects.create(trigger="start", target=target, handled_until=MONDAY - timedelta(days=1))


def asked() -> list[str]:
    """What the rules have asked for, oldest first."""
    return list(Switch.objects.filter(source=Source.RULE).order_by("pk").values_list("target", flat=True))


def end(state: State = State.SUCCEEDED, **fields: Any) -> Switch:
    """Let the switch under way end."""
    switch = Switch.objects.get(state__in=ACTIVE)
    Switch.objects.filter(pk=switch.pk).update(state=state, finished_at=timezone.now(), **fields)
    if state == State.SUCCEEDED:
        loaded(switch.target)
    return switch


def note(rule: Rule) -> str:
    rule.refresh_from_db()
    return rule.note


def message(**fields: Any) -> Message:
    owner, _ = User.objects.get_or_create(username="mara")
    conversation, _ = Conversation.objects.get_or_create(owner=owner)
    return Message.objects.create(
        conversation=conversation, role="assistant", **{"status": "queued", **fields}
    )


# At a set time ----------------------------------------------------------------------------------------------------


def test_a_set_time_asks_for_its_model_and_the_history_names_the_rule() -> None:
    rule = timed()
    rules.evaluate(SERVER, MONDAY - MINUTE)
    assert asked() == []
    rules.evaluate(SERVER, MONDAY)
    switch = Switch.objects.get()
    assert (switch.target, switch.source, switch.rule) == (
        "coder",
        Source.RULE,
        "Weekdays at 08:00: switch to coder",
    )
    rule.refresh_from_db()
    assert rule.last_switch == switch
    assert rule.note == ""


def test_it_is_followed_once_whoever_asks_how_often() -> None:
    timed()
    rules.evaluate(SERVER, MONDAY)
    end(State.CANCELLED)
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder"]


def test_of_two_workers_with_the_same_task_one_does_it() -> None:
    timed()
    seen_by_both = [Rule.objects.get(), Rule.objects.get()]
    for rule in seen_by_both:
        rules._consider(SERVER, rule, MONDAY)
        Switch.objects.update(state=State.CANCELLED)
    assert asked() == ["coder"]


def test_a_rule_that_was_changed_meanwhile_is_not_followed_as_it_was() -> None:
    rule = timed()
    stale = Rule.objects.get()
    rules.arm(rule)
    rule.save()
    rules._consider(SERVER, stale, MONDAY)
    assert asked() == []


def test_a_worker_that_dies_on_the_way_leaves_the_rule_due(monkeypatch: pytest.MonkeyPatch) -> None:
    timed()

    def die(*args: object, **how: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as dying:
        dying.setattr(transitions, "request", die)
        rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    rules.evaluate(SERVER, MONDAY)
    assert asked() == ["coder"]


def test_only_on_its_days() -> None:
    timed(days=[6, 7], handled_until=MONDAY - timedelta(hours=1))
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    rules.evaluate(SERVER, MONDAY + timedelta(days=5))
    assert asked() == ["coder"]


def test_the_time_is_that_of_the_time_zone(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    timed()
    rules.evaluate(SERVER, MONDAY - timedelta(hours=9, minutes=1))
    assert asked() == []
    rules.evaluate(SERVER, MONDAY - timedelta(hours=9))
    assert asked() == ["coder"]


@pytest.mark.parametrize(
    ("day", "at", "due"),
    [
        (
            "2026-03-29",
            time(2, 30),
            "2026-03-29T01:30",
        ),  # skipped: clocks go from 2 to 3; 03:30 is as much later
        ("2026-10-25", time(2, 30), "2026-10-25T00:30"),  # twice: the first time
        ("2026-10-26", time(2, 30), "2026-10-26T01:30"),
    ],
)
def test_when_clocks_change_a_rule_is_still_due_once_a_day(
    settings: Any, day: str, at: time, due: str
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    before = datetime.fromisoformat(f"{day}T00:00+01:00") - timedelta(hours=1)
    rule = timed(at=at, days=[1, 2, 3, 4, 5, 6, 7], handled_until=before)
    expected = datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert rules.next_time(rule, before) == expected
    rules.evaluate(SERVER, expected - MINUTE)
    assert asked() == []
    for minutes in range(0, 180, 5):
        rules.evaluate(SERVER, expected + minutes * MINUTE)
        Switch.objects.update(state=State.CANCELLED)
    assert asked() == ["coder"]


def test_what_is_noticed_too_late_is_skipped_and_says_so() -> None:
    rule = timed()
    rules.evaluate(SERVER, MONDAY + rules.GRACE + MINUTE)
    assert asked() == []
    assert note(rule) == "Skipped: it was noticed after 08:10, because Gantry was not running."
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == ["coder"]


def test_a_little_late_is_not_too_late() -> None:
    timed()
    rules.evaluate(SERVER, MONDAY + rules.GRACE)
    assert asked() == ["coder"]


def test_what_failed_is_not_tried_again_before_the_next_day() -> None:
    rule = timed()
    rules.evaluate(SERVER, MONDAY)
    failed = end(State.FAILED, error="CUDA out of memory.")
    for seconds in moments(600):
        rules.evaluate(SERVER, MONDAY + timedelta(seconds=seconds))
    assert asked() == ["coder"]
    rule.refresh_from_db()
    assert rule.last_switch == failed
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == ["coder", "coder"]


def test_a_model_that_is_gone_is_told_and_not_asked_for() -> None:
    rule = timed(target="gone")
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    assert note(rule).startswith("Not done: No model named “gone” is in TabbyAPI's catalog.")
    rule.refresh_from_db()
    assert rule.handled_until == MONDAY


def test_a_model_that_is_loaded_already_is_left_alone() -> None:
    loaded("coder")
    rule = timed()
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    assert note(rule) == "Nothing to do: coder was loaded already."


def test_a_set_time_can_unload() -> None:
    timed(target="")
    rules.evaluate(SERVER, MONDAY)
    assert asked() == [""]


def test_a_set_time_can_try_a_model_out_whatever_is_loaded() -> None:
    rule = timed(tries=True, only_if_idle=True, idle_minutes=0, target="usual")
    assert rule.words == "Weekdays at 08:00: try usual out, if idle"
    rules.evaluate(SERVER, MONDAY)
    switch = Switch.objects.get()
    assert (switch.target, switch.tries, switch.only_if_idle, switch.rule) == ("usual", True, True, str(rule))
    rule.refresh_from_db()
    assert rule.last_switch == switch


def test_it_waits_for_a_running_switch_and_is_followed_after_it() -> None:
    rule = timed()
    transitions.request(SERVER, "usual", source=Source.ADMIN)
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    rule.refresh_from_db()
    assert rule.waits_for == MONDAY
    end()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder"]
    rule.refresh_from_db()
    assert rule.waits_for is None


def test_a_switch_that_runs_for_too_long_makes_it_skip() -> None:
    rule = timed()
    transitions.request(SERVER, "usual", source=Source.ADMIN)
    rules.evaluate(SERVER, MONDAY)
    rules.evaluate(SERVER, MONDAY + rules.GRACE + MINUTE)
    assert note(rule) == "Skipped: until 08:10, people used the model or another change was under way."


def test_a_rule_with_an_error_does_not_keep_the_others_from_their_work() -> None:
    timed(days=7)
    timed()
    rules.evaluate(SERVER, MONDAY)
    assert asked() == ["coder"]


def test_a_disabled_rule_does_nothing() -> None:
    timed(enabled=False)
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []


# Only if idle -----------------------------------------------------------------------------------------------------


def make_busy(kind: str) -> Any:
    match kind:
        case "writing":
            return Lease.objects.create(
                server_id=SERVER, holder="web", subject="reply 1", heartbeat=timezone.now()
            )
        case "waiting":
            return message()
        case _:
            return message(status="complete", finished_at=MONDAY - 4 * MINUTE)


@pytest.mark.parametrize("kind", ["writing", "waiting", "just answered"])
def test_only_if_idle_waits_for_people(kind: str) -> None:
    rule = timed(only_if_idle=True, idle_minutes=5, wait_minutes=60)
    busy = make_busy(kind)
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []
    if kind != "just answered":
        busy.delete()
    rules.evaluate(SERVER, MONDAY + 59 * MINUTE)
    assert asked() == ["coder"]
    assert Switch.objects.get().only_if_idle
    assert rule.words == "Weekdays at 08:00: switch to coder, if idle"


def test_people_who_stay_make_it_skip_until_the_next_day() -> None:
    rule = timed(only_if_idle=True, wait_minutes=60)
    message()
    rules.evaluate(SERVER, MONDAY)
    rules.evaluate(SERVER, MONDAY + 61 * MINUTE)
    assert note(rule) == "Skipped: until 09:00, people used the model or another change was under way."
    assert asked() == []


def test_without_that_condition_it_does_not_wait() -> None:
    timed(only_if_idle=False)
    message()
    rules.evaluate(SERVER, MONDAY)
    assert asked() == ["coder"]
    assert not Switch.objects.get().only_if_idle


def test_what_gave_way_to_somebody_is_tried_again_while_there_is_time() -> None:
    rule = timed(only_if_idle=True, wait_minutes=60, idle_minutes=0)
    rules.evaluate(SERVER, MONDAY)
    end(State.CANCELLED, error_kind=runner.NOT_IDLE)
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder", "coder"]
    end(State.CANCELLED, error_kind=runner.NOT_IDLE)
    rules.evaluate(SERVER, MONDAY + 61 * MINUTE)
    assert asked() == ["coder", "coder"]
    rule.refresh_from_db()
    assert rule.last_switch is not None


def test_what_a_person_cancelled_is_not() -> None:
    timed(only_if_idle=True, wait_minutes=60, idle_minutes=0)
    rules.evaluate(SERVER, MONDAY)
    end(State.CANCELLED, error_kind="cancelled")
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder"]


# Unload when idle -------------------------------------------------------------------------------------------------


def test_a_model_is_unloaded_so_long_after_the_last_reply() -> None:
    idle()
    message(status="complete", finished_at=MONDAY)
    message(status="stopped", finished_at=MONDAY - 20 * MINUTE)
    rules.evaluate(SERVER, MONDAY + 29 * MINUTE)
    assert asked() == []
    rules.evaluate(SERVER, MONDAY + 30 * MINUTE)
    assert asked() == [""]
    switch = Switch.objects.get()
    assert (switch.rule, switch.only_if_idle) == ("Unload when idle for 30 minutes", True)


def test_or_so_long_after_the_load_if_that_was_later() -> None:
    idle()
    message(status="complete", finished_at=MONDAY - 60 * MINUTE)
    loaded("usual", MONDAY)
    rules.evaluate(SERVER, MONDAY + 29 * MINUTE)
    assert asked() == []
    rules.evaluate(SERVER, MONDAY + 30 * MINUTE)
    assert asked() == [""]


@pytest.mark.parametrize("kind", ["writing", "waiting"])
def test_never_while_somebody_waits_or_is_answered(kind: str) -> None:
    idle()
    busy = make_busy(kind)
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == []
    busy.delete()
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == [""]


def test_with_nothing_loaded_there_is_nothing_to_unload() -> None:
    idle()
    loaded("")
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == []


def test_out_of_reach_nothing_is_unloaded() -> None:
    idle()
    Server.objects.update(unreachable_since=MONDAY)
    rules.evaluate(SERVER, MONDAY + timedelta(days=1))
    assert asked() == []


def test_an_unload_that_failed_is_tried_again_after_the_next_reply() -> None:
    idle()
    rules.evaluate(SERVER, MONDAY + 30 * MINUTE)
    end(State.FAILED, error="TabbyAPI cannot be reached.")
    for seconds in moments(7200):
        rules.evaluate(SERVER, MONDAY + 30 * MINUTE + timedelta(seconds=seconds))
    assert asked() == [""]
    message(status="complete", finished_at=MONDAY + 120 * MINUTE)
    rules.evaluate(SERVER, MONDAY + 150 * MINUTE)
    assert asked() == ["", ""]


def test_a_rule_for_idle_hours_that_is_enabled_counts_from_the_last_reply_all_the_same() -> None:
    rule = idle()
    rules.arm(rule)
    rule.save()
    rules.evaluate(SERVER, MONDAY)
    assert asked() == [""]


# Giving way: between the request and the closed gate, somebody may have come ----------------------------------------


def drained(switch: Switch) -> Switch:
    """Have the switch go through its draining."""
    claimed = ownership.claim(switch.pk)
    assert claimed is not None
    transitions.move(claimed, State.DRAINING, previous="usual")
    claimed.drain_seconds = 0
    runner.Run(claimed, None, StillHeartbeat(claimed)).drain()  # type: ignore[arg-type]
    return Switch.objects.get(pk=switch.pk)


@pytest.mark.parametrize(
    ("kind", "words"), [("writing", "a reply is being written"), ("waiting", "a message waits for its reply")]
)
def test_a_rule_gives_way_to_who_came_meanwhile(kind: str, words: str) -> None:
    switch = transitions.request(SERVER, "", source=Source.RULE, rule="at night", only_if_idle=True)
    make_busy(kind)
    ended = drained(switch)
    assert (ended.state, ended.error_kind, ended.result) == (State.CANCELLED, runner.NOT_IDLE, "usual")
    assert words in ended.error
    assert not gate.closed(SERVER)
    assert not Lease.objects.exclude(revoked_at=None).exists()


def test_with_nobody_there_it_goes_on() -> None:
    switch = transitions.request(SERVER, "", source=Source.RULE, only_if_idle=True)
    assert drained(switch).state == State.UNLOADING


def test_what_a_person_wants_too_does_not_give_way() -> None:
    switch = transitions.request(SERVER, "", source=Source.RULE, only_if_idle=True)
    assert transitions.request(SERVER, "", source=Source.ADMIN) == switch
    make_busy("waiting")
    assert drained(switch).state == State.UNLOADING


# At the start -----------------------------------------------------------------------------------------------------


def started(when: datetime = MONDAY) -> None:
    Server.objects.update(started_at=when)


def test_at_the_start_the_named_model_is_loaded_once_tabbyapi_says_it_is_empty() -> None:
    rule = at_start("coder")
    loaded("", MONDAY - MINUTE)
    started()
    rules.evaluate(SERVER, MONDAY)
    assert asked() == []  # TabbyAPI has not answered since
    rule.refresh_from_db()
    assert rule.waits_for == MONDAY
    Server.objects.update(seen_at=MONDAY + MINUTE)
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder"]
    assert Switch.objects.get().rule == "At the start: load coder"


def test_at_the_start_a_tabbyapi_that_was_there_all_the_time_may_be_loading_somebodys_model(
    settings: Any,
) -> None:
    """It says that nothing is loaded all through a load."""
    settings.KEEP_MODEL_AFTER = 180
    rule = at_start("coder")
    started()
    loaded("", MONDAY + MINUTE)
    Server.objects.update(anew=False)
    Server.objects.update(seen_at=MONDAY + 2 * MINUTE)
    rules.evaluate(SERVER, MONDAY + 9 * MINUTE)
    assert asked() == []
    assert note(rule) == ""
    Server.objects.update(seen_at=MONDAY + 4 * MINUTE)
    rules.evaluate(SERVER, MONDAY + 9 * MINUTE)
    assert asked() == ["coder"]
    assert Switch.objects.get().only_if_empty


def test_or_the_last_one_that_was_chosen() -> None:
    at_start()
    TabbyModel.objects.filter(name="usual").update(last_loaded=MONDAY)
    loaded("", MONDAY + MINUTE)
    Server.objects.update(wanted="coder")
    started()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["coder"]


def test_or_else_the_one_that_was_loaded_last() -> None:
    at_start()
    TabbyModel.objects.filter(name="usual").update(last_loaded=MONDAY)
    loaded("", MONDAY + MINUTE)
    started()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == ["usual"]


def test_with_no_last_one_it_says_so() -> None:
    rule = at_start()
    loaded("", MONDAY + MINUTE)
    started()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert note(rule) == "Nothing to do: no model has been loaded before."


def test_a_tabbyapi_that_has_a_model_at_the_start_keeps_it() -> None:
    rule = at_start("coder")
    loaded("usual", MONDAY + MINUTE)
    started()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == []
    assert note(rule) == "Nothing to do: usual was loaded already."


def test_a_start_is_one_occasion() -> None:
    at_start("coder")
    loaded("", MONDAY + MINUTE)
    started()
    rules.evaluate(SERVER, MONDAY + MINUTE)
    end(State.FAILED)
    rules.evaluate(SERVER, MONDAY + 2 * MINUTE)
    assert asked() == ["coder"]
    started(MONDAY + 3 * MINUTE)
    Server.objects.update(seen_at=MONDAY + 4 * MINUTE)
    rules.evaluate(SERVER, MONDAY + 4 * MINUTE)
    assert asked() == ["coder", "coder"]


def test_what_keep_model_loads_comes_first() -> None:
    rule = at_start("coder")
    loaded("", MONDAY + MINUTE)
    started()
    transitions.request(SERVER, "usual", source=Source.KEEP)
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert asked() == []
    end()
    Server.objects.update(seen_at=MONDAY + MINUTE)
    rules.evaluate(SERVER, MONDAY + MINUTE)
    assert note(rule) == "Nothing to do: usual was loaded already."


def test_gantry_starts_with_its_first_worker() -> None:
    assert worker_heartbeats.begin()
    first = state_row.row(SERVER).started_at
    assert Worker.objects.count() == 1
    assert not worker_heartbeats.begin()  # another worker, while one is alive
    assert state_row.row(SERVER).started_at == first
    worker_heartbeats.leave()
    assert worker_heartbeats.begin()
    assert state_row.row(SERVER).started_at != first


# What follows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "source", "wanted"),
    [
        ("coder", Source.RULE, "coder"),
        ("", Source.RULE, "usual"),
        ("", Source.ADMIN, ""),
    ],
)
def test_only_a_person_decides_that_no_model_is_wanted(target: str, source: Source, wanted: str) -> None:
    Server.objects.update(wanted="usual")
    switch = ownership.claim(transitions.request(SERVER, target, source=source).pk)
    assert switch is not None
    transitions.move(switch, State.VERIFYING)
    transitions.succeed(switch, card=ModelCard(target, {}) if target else None, options={})
    assert state_row.row(SERVER).wanted == wanted


def test_the_chat_tells_who_waits_and_when_a_reply_last_ended() -> None:
    assert demand.now() == demand.Demand()
    message(status="streaming")
    message()
    message(status="failed", finished_at=MONDAY)
    message(status="complete", finished_at=MONDAY + MINUTE)
    assert demand.now() == demand.Demand(waiting=1, people=1, last_reply=MONDAY + MINUTE)
