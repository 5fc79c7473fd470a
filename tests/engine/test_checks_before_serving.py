"""Checks behind the closed gate: what a model answers decides whether it serves, and nothing of it is left hanging."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from support import flawed
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby, until
from support.tabby import running as sandbox

from models_admin.admin.history_pages import SwitchAdmin
from models_admin.automation import upkeep
from models_admin.models import Check, CheckRun, RunKind, Source, State, Switch, TabbyModel, Verdict
from models_admin.ops import command
from models_admin.presentation import switch_text
from models_admin.servers import state_row
from models_admin.switching import runner, transitions, trying
from models_admin.switching.way_back import WayBack

BETA = {"name": "beta-8B-Q5", "modules": 2, "seconds_per_module": 0.01, "tokens_per_second": 200.0}
CHATS = "/v1/chat/completions"


@pytest.fixture(scope="module")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with sandbox(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        yield tabby


@pytest.fixture
def tabby(_sandbox: Tabby, transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Tabby:
    """The sandbox with alpha-7B loaded, and the starter set."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = _sandbox.url, ADMIN_KEY
    settings.SWITCH_TIMEOUT, settings.DRAIN_TIMEOUT = 20, 0
    _sandbox.no_faults()
    _sandbox.reset()
    upkeep.refresh(SERVER)
    assert state_row.row(SERVER).model == "alpha-7B"
    starter_set()
    return _sandbox


def starter_set() -> None:
    """Have the checks that the migration makes, and no others."""
    Check.objects.all().delete()
    for each in importlib.import_module("models_admin.migrations.0026_checks").STARTER:
        Check.objects.create(**each)


def switch_to(target: str = "beta-8B-Q5", **how: Any) -> Switch:
    asked = transitions.request(SERVER, target, source=how.pop("source", Source.API), **how)
    runner.run(asked.pk)
    return Switch.objects.get(pk=asked.pk)


def cancelled_in_mid_check(tabby: Tabby, asked: Switch) -> Switch:
    """Carry a switch out with one check more, which takes long, and cancel it when only that is left."""
    Check.objects.create(name="Long", prompt="[[tokens=5000 rate=50]]")

    def cancel() -> None:
        until(lambda: len(tabby.state()["generations"]) == 1 and len(tabby.log(CHATS)) == 4, "the checks")
        transitions.cancel(asked, user=None)
        connection.close()

    person = threading.Thread(target=cancel)
    person.start()
    runner.run(asked.pk)
    person.join()
    return Switch.objects.get(pk=asked.pk)


def nothing_hangs(tabby: Tabby) -> bool:
    return until(lambda: not tabby.state()["generations"], "the end of all streams", 5) is not None


def test_a_good_model_passes_and_what_it_answered_is_kept(tabby: Tabby) -> None:
    ended = switch_to()
    assert (ended.state, ended.error) == (State.SUCCEEDED, "")
    run = CheckRun.objects.get()
    assert (run.switch, run.model, run.verdict) == (ended, "beta-8B-Q5", Verdict.PASSED)
    results = {each.name: each for each in run.results.all()}
    assert {each.verdict for each in results.values()} == {Verdict.PASSED}
    assert results["Answers at all"].answer == "Hello, it is nice to meet you!"
    assert results["No gibberish"].asked.startswith("Explain in about five sentences")
    asked = [each["body"]["messages"][-1]["content"] for each in tabby.log(CHATS)]
    assert len(asked) == 3, "one token, and each question once, however many checks judge its answer"


@pytest.mark.parametrize(
    ("flaw", "check", "words"),
    [
        ("template", "No marks of a template", "<|im_end|>"),
        ("gibberish", "No gibberish", "it mixes the scripts"),
        ("repeats", "No endless repeats", "“and so on” without end"),
        ("empty", "Answers at all", "the answer is empty"),
        ("endless", "Ends by itself", "did not end within 300 tokens"),
        ("dies", "", "TabbyAPI did not answer"),
    ],
)
def test_the_starter_set_catches_it_before_anybody_is_served(
    tabby: Tabby, settings: Any, flaw: str, check: str, words: str
) -> None:
    settings.SWITCH_PROBE = flaw != "empty"  # which finds this one, too
    tabby.state(add_models=[{**BETA, "flaw": flaw}])
    ended = switch_to()
    assert (ended.state, ended.result, ended.error_kind) == (State.FAILED, "alpha-7B", "check_failed")
    assert f"The check “{check}" in ended.error
    assert words in ended.error
    assert "Question: “" in ended.error
    assert tabby.state()["loaded"] == "alpha-7B"
    assert ended.seconds["verifying"] < 20
    assert CheckRun.objects.get().verdict == Verdict.FAILED
    assert nothing_hangs(tabby)


@pytest.mark.parametrize("flaw", flawed.CHECKS)
def test_checks_of_ones_own_catch_what_they_are_for(tabby: Tabby, flaw: str) -> None:
    good = {**BETA, "tool_format": True}
    Check.objects.create(name="Own", **flawed.CHECKS[flaw])
    tabby.state(add_models=[good])
    assert switch_to().error == ""
    assert switch_to("alpha-7B", skip_checks=True).state == State.SUCCEEDED
    tabby.state(add_models=[{**good, "flaw": flaw}])
    ended = switch_to()
    assert (ended.state, ended.result) == (State.FAILED, "alpha-7B")
    assert "The check “Own” failed" in ended.error


def test_a_model_that_has_become_ten_times_slower_is_caught_by_its_own_past(tabby: Tabby) -> None:
    good = {**BETA, "plain_rate": 100}
    tabby.state(add_models=[good])
    for _ in range(2):
        assert switch_to().state == State.SUCCEEDED
        assert switch_to("alpha-7B").state == State.SUCCEEDED
    tabby.state(add_models=[{**good, "flaw": "slow"}])
    ended = switch_to()
    assert (ended.state, ended.result) == (State.FAILED, "alpha-7B")
    assert "The check “About as fast as before” failed" in ended.error
    assert nothing_hangs(tabby)


def test_serve_it_anyway_leaves_them_out_and_the_row_says_so(tabby: Tabby) -> None:
    tabby.state(add_models=[{**BETA, "flaw": "template"}])
    ended = switch_to(skip_checks=True)
    assert (ended.state, ended.skip_checks) == (State.SUCCEEDED, True)
    assert not CheckRun.objects.exists()


def test_a_way_back_and_a_kept_model_are_not_checked(tabby: Tabby) -> None:
    alpha = {"name": "alpha-7B", "modules": 2, "seconds_per_module": 0.01, "flaw": "template"}
    tabby.state(add_models=[alpha, {**BETA, "flaw": "template"}])
    assert switch_to().result == "alpha-7B"
    assert CheckRun.objects.count() == 1
    tabby.state(loaded=None)
    upkeep.refresh(SERVER)
    assert switch_to("alpha-7B", source=Source.KEEP).state == State.SUCCEEDED
    assert CheckRun.objects.count() == 1


def test_a_check_is_for_its_model_its_tag_or_all_and_only_where_it_is_on(tabby: Tabby) -> None:
    Check.objects.all().delete()
    TabbyModel.objects.filter(name="beta-8B-Q5").update(tags=["coding"])
    for name, columns in {
        "all": {}, "its": {"model": "beta-8B-Q5"}, "tag": {"tag": "coding"}, "other": {"model": "alpha-7B"},
        "other tag": {"tag": "chat"}, "off": {"enabled": False}, "later": {"before_serving": False},
    }.items():  # fmt: skip
        Check.objects.create(name=name, prompt="Say hello in one short sentence.", **columns)
    assert switch_to().state == State.SUCCEEDED
    names = CheckRun.objects.get().results.values_list("name", flat=True)
    assert set(names) == {"all", "its", "tag"}


def test_what_has_not_ended_in_time_is_not_judged_unless_the_check_says_so(
    tabby: Tabby, settings: Any
) -> None:
    settings.CHECK_SECONDS = 0.5
    Check.objects.all().delete()
    check = Check.objects.create(name="Long", prompt="[[tokens=5000 rate=50]]", contains="w5000")
    assert switch_to().state == State.SUCCEEDED
    assert CheckRun.objects.get().verdict == Verdict.NOT_JUDGED
    assert nothing_hangs(tabby)
    Check.objects.filter(pk=check.pk).update(must_end=True)
    assert switch_to("alpha-7B").state == State.FAILED


def test_a_model_that_says_nothing_at_all_is_dead(tabby: Tabby, settings: Any) -> None:
    settings.CHECK_SECONDS = 0.5
    Check.objects.all().delete()
    Check.objects.create(name="Silent", prompt="[[tokens=5 prefill=60]]")
    ended = switch_to()
    assert ended.state == State.FAILED
    assert "nothing came within" in ended.error


def test_cancelling_in_mid_check_goes_back_at_once(tabby: Tabby) -> None:
    ended = cancelled_in_mid_check(tabby, transitions.request(SERVER, "beta-8B-Q5", source=Source.API))
    assert (ended.state, ended.result) == (State.CANCELLED, "alpha-7B")
    assert ended.seconds["verifying"] < 15
    assert not CheckRun.objects.exists()
    assert nothing_hangs(tabby)


def test_only_the_newest_runs_of_a_model_are_kept(tabby: Tabby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.checks.running.RUNS_KEPT", 2)
    for _ in range(3):
        switch_to()
        switch_to("alpha-7B", skip_checks=True)
    runs = CheckRun.objects.filter(model="beta-8B-Q5")
    assert runs.count() == 2
    assert (
        min(runs.values_list("switch_id", flat=True)) > Switch.objects.filter(target="beta-8B-Q5").last().pk
    )  # type: ignore[union-attr]


# A try: all checks, and back ----------------------------------------------------------------------------------------


def tried(target: str = "beta-8B-Q5", **how: Any) -> Switch:
    asked = trying.request_on([], target, source=Source.API, **how)
    runner.run(asked.pk)
    return Switch.objects.get(pk=asked.pk)


def shown(switch: Switch) -> list[str]:
    return [line["text"] for line in switch_text.describe(switch, worker=True, replying=0)["lines"]]


def test_a_try_runs_all_checks_goes_back_and_keeps_the_report(tabby: Tabby) -> None:
    Check.objects.create(name="Never holds", prompt="Hello", contains="no such words", before_serving=False)
    before = state_row.row(SERVER)
    ended = tried()
    assert (ended.state, ended.result, ended.error) == (State.SUCCEEDED, "alpha-7B", "")
    assert [each["body"]["model_name"] for each in tabby.log("/v1/model/load")] == ["beta-8B-Q5", "alpha-7B"]
    assert tabby.state()["loaded"] == "alpha-7B"
    run = CheckRun.objects.get()
    assert (run.switch, run.model, run.kind, run.verdict) == (
        ended,
        "beta-8B-Q5",
        RunKind.TRY,
        Verdict.FAILED,
    )
    assert run.results.count() == Check.objects.count() == 7
    words = "✓ beta-8B-Q5 was tried: 6 of 7 checks held; failed: Never holds"
    assert shown(ended)[-2:] == [words, "alpha-7B is loaded now"]
    row = state_row.row(SERVER)
    assert (row.model, row.wanted, row.chosen_by) == ("alpha-7B", before.wanted, before.chosen_by)
    assert TabbyModel.objects.get(name="beta-8B-Q5").last_loaded is None


def test_what_is_loaded_already_is_tried_where_it_is(tabby: Tabby) -> None:
    loads = len(tabby.log("/v1/model/load"))
    ended = tried("alpha-7B")
    assert (ended.state, ended.result) == (State.SUCCEEDED, "alpha-7B")
    assert len(tabby.log("/v1/model/load")) == loads
    assert CheckRun.objects.get().model == "alpha-7B"


def test_a_try_where_nothing_was_loaded_ends_with_nothing_loaded(tabby: Tabby) -> None:
    tabby.state(loaded=None)
    upkeep.refresh(SERVER)
    ended = tried()
    assert (ended.state, ended.result, tabby.state()["loaded"]) == (State.SUCCEEDED, "", None)
    assert shown(ended)[-1] == "No model is loaded now"


def test_a_try_that_cannot_be_loaded_has_failed(tabby: Tabby) -> None:
    tabby.state(add_models=[{**BETA, "oom_at": 1}])
    ended = tried()
    assert (ended.state, ended.result) == (State.FAILED, "alpha-7B")
    assert "does not fit" in ended.error
    assert not CheckRun.objects.exists()
    assert shown(ended)[-1] == "Rolled back: alpha-7B is loaded again"


def test_a_model_that_dies_at_its_checks_has_been_tried(tabby: Tabby) -> None:
    tabby.state(add_models=[{**BETA, "flaw": "dies"}])
    ended = tried()
    assert (ended.state, ended.result) == (State.SUCCEEDED, "alpha-7B")
    assert CheckRun.objects.get().verdict == Verdict.FAILED


def test_a_try_that_is_cancelled_in_mid_check_goes_back(tabby: Tabby) -> None:
    ended = cancelled_in_mid_check(tabby, trying.request_on([], "beta-8B-Q5", source=Source.API))
    assert (ended.state, ended.result) == (State.CANCELLED, "alpha-7B")
    assert not CheckRun.objects.exists()
    assert shown(ended)[-2:] == ["✗ Cancelled by somebody.", "Rolled back: alpha-7B is loaded again"]


def test_a_try_and_a_switch_do_not_take_each_other_for_their_own(tabby: Tabby) -> None:
    asked = trying.request_on([], "beta-8B-Q5", source=Source.API)
    with pytest.raises(transitions.Conflict, match="a try of beta-8B-Q5"):
        transitions.request(SERVER, "beta-8B-Q5", source=Source.API)
    assert trying.request_on([], "beta-8B-Q5", source=Source.API) == asked
    transitions.cancel(asked, user=None)
    transitions.request(SERVER, "beta-8B-Q5", source=Source.API)
    with pytest.raises(transitions.Conflict):
        trying.request_on([], "beta-8B-Q5", source=Source.API)


def test_a_worker_that_takes_a_try_over_goes_back_too(tabby: Tabby) -> None:
    asked = trying.request_on([], "beta-8B-Q5", source=Source.API)
    runner.run(asked.pk)
    Switch.objects.filter(pk=asked.pk).update(
        state=State.ROLLING_BACK,
        finished_at=None,
        owner="gone:1:x",
        heartbeat=timezone.now() - timedelta(hours=1),
    )
    tabby.state(loaded="beta-8B-Q5")
    runner.run(asked.pk)
    ended = Switch.objects.get(pk=asked.pk)
    assert (ended.state, ended.result, tabby.state()["loaded"]) == (State.SUCCEEDED, "alpha-7B", "alpha-7B")


def test_a_try_that_goes_back_is_not_told_as_one_that_failed(
    tabby: Tabby, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, seen = WayBack.go, []

    def watched(way_back: WayBack) -> None:
        described = switch_text.describe(Switch.objects.get(pk=way_back.switch.pk), worker=True, replying=0)
        seen.extend((line["text"], line["state"]) for line in described["lines"])
        go(way_back)

    monkeypatch.setattr(WayBack, "go", watched)
    ended = tried()
    assert seen[-2:] == [
        ("Tried: 6 of 6 checks held", "done"),
        ("Going back: loading alpha-7B again… 0%", "running"),
    ]
    assert {state for _, state in seen} == {"done", "running"}
    entry = LogEntry.objects.filter(object_id=str(ended.pk)).get()
    assert entry.get_change_message() == (
        "alpha-7B → beta-8B-Q5, tried out, Succeeded (asked for by API) Loaded now: alpha-7B."
    )
    listed = SwitchAdmin(Switch, site).change(ended)
    assert listed == "alpha-7B → <strong>beta-8B-Q5</strong> (tried out)"


def test_a_try_that_cannot_go_back_says_so_and_keeps_its_report(tabby: Tabby) -> None:
    tabby.state(add_models=[{**BETA, "name": "alpha-7B", "oom_at": 1}])
    ended = tried()
    assert (ended.state, ended.result, ended.error_kind) == (State.FAILED, "", "out_of_memory")
    assert ended.error.startswith("Going back to alpha-7B failed: alpha-7B does not fit")
    told = shown(ended)
    assert "Tried: 6 of 6 checks held" in told
    assert not any(line.startswith("Checking that") for line in told)
    assert told[-1] == "No model is loaded now"


def test_a_try_whose_checks_were_not_all_judged_is_no_clean_success(tabby: Tabby) -> None:
    Check.objects.create(name="Not judged", prompt="[[echo]]x", matches="(", before_serving=False)
    with pytest.raises(SystemExit) as ended:
        call_command("switch_model", "beta-8B-Q5", "--try", "--direct")
    assert ended.value.code == command.NOT_ALL_HELD
    assert Verdict.FAILED not in {each["verdict"] for each in switch_text.tried(Switch.objects.all()[0])}
