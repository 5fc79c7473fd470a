"""`manage.py switch_model`: asks for a switch, shows it, and ends well only when the model is loaded."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, Worked, running
from django.core.management import CommandError, call_command

from models_admin.models import Server, Source, State, Switch, TabbyModel, Worker
from models_admin.ops.command import Screen, VisibleOutput

Catalog = dict[str, TabbyModel]
Start = Callable[..., Worked]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def switch_model(*args: str, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    call_command("switch_model", *args, stdout=out, stderr=out)
    return out.getvalue()


def refused(*args: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        switch_model(*args)
    return caught.value


def test_it_ends_when_the_model_is_loaded(catalog: Catalog, worker: Start) -> None:
    worker()
    lines = switch_model(QWEN).splitlines()
    assert lines[-1] == "✓ Model switched successfully!"
    switch = Switch.objects.get()
    assert (switch.target, switch.source, switch.state) == (QWEN, Source.COMMAND, State.SUCCEEDED)


def test_it_unloads(catalog: Catalog, worker: Start) -> None:
    worker(State.DRAINING, State.UNLOADING, State.SUCCEEDED)
    assert "✓ Model unloaded successfully" in switch_model("--unload")


def test_drain_is_handed_on(catalog: Catalog, worker: Start) -> None:
    worker()
    switch_model(QWEN, "--drain", "3.5")
    assert Switch.objects.get().drain_seconds == 3.5


def test_a_failure_is_told_and_is_no_success(catalog: Catalog, worker: Start) -> None:
    worker(State.DRAINING, State.FAILED, error="Nobody answers.", advice="Start TabbyAPI.", result=LLAMA)
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        switch_model(QWEN, out=out)
    assert out.getvalue().splitlines()[-2:] == ["✗ Nobody answers.", f"{LLAMA} is loaded now"]
    assert str(caught.value) == f"Start TabbyAPI. {LLAMA} is loaded now."
    assert caught.value.returncode == 1


def test_an_unknown_name_suggests_near_ones(catalog: Catalog) -> None:
    error = refused("mistral-7b-instruct")
    assert MISTRAL in str(error)
    assert not Switch.objects.exists()


def test_a_conflict_names_the_running_switch(catalog: Catalog) -> None:
    running()
    assert QWEN in str(refused(MISTRAL))


def test_the_list_marks_the_active_model(catalog: Catalog) -> None:
    lines = switch_model("--list").splitlines()
    assert [line[:2].strip() for line in lines] == ["✓", "", ""]
    assert [line[2:].split()[0] for line in lines] == [LLAMA, MISTRAL, QWEN]


def test_the_list_is_shown_without_tabbyapi(catalog: Catalog) -> None:
    Server.objects.update(catalog_at=None)
    shown = switch_model("--list")
    assert "as it was last seen" in shown
    assert QWEN in shown


def test_without_waiting_it_says_that_no_worker_answers(catalog: Catalog, transactional_db: None) -> None:
    Worker.objects.all().delete()
    assert "queued: no worker is answering" in switch_model(QWEN, "--no-wait")
    assert Switch.objects.get().state == State.QUEUED


def test_without_waiting_it_ends_as_soon_as_a_worker_has_it(catalog: Catalog, worker: Start) -> None:
    worker(State.DRAINING)
    assert "is under way" in switch_model(QWEN, "--no-wait")


@pytest.mark.parametrize("args", [[], [QWEN, "--unload"], ["--list", "--unload"]])
def test_it_wants_one_thing_at_a_time(catalog: Catalog, args: list[str]) -> None:
    assert refused(*args).returncode == 2


@pytest.mark.parametrize("drain", ["-1", "soon", "1e9", "nan"])
def test_drain_is_a_number_of_seconds(catalog: Catalog, drain: str) -> None:
    refused(QWEN, f"--drain={drain}")
    assert not Switch.objects.exists()


def test_ctrl_c_leaves_it_running_where_nobody_can_be_asked(
    catalog: Catalog, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(switch_id: int, patience: float | None = None) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("models_admin.presentation.waiting.follow", interrupt)
    error = refused(QWEN)
    assert "Left running" in str(error)
    assert error.returncode == 130
    assert Switch.objects.get().state == State.QUEUED


def test_ctrl_c_can_cancel(catalog: Catalog, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from models_admin.presentation import waiting

    follow, interrupted = waiting.follow, []

    def interrupt_once(switch_id: int, patience: float | None = None) -> Any:
        if not interrupted:
            interrupted.append(switch_id)
            raise KeyboardInterrupt
        return follow(switch_id)

    monkeypatch.setattr("models_admin.presentation.waiting.follow", interrupt_once)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: "y")
    out = io.StringIO()
    with pytest.raises(CommandError):
        switch_model(QWEN, out=out)
    assert "✗ Cancelled" in out.getvalue()
    assert Switch.objects.get().state == State.CANCELLED


def told(text: str, state: str, percent: int = 0) -> dict[str, Any]:
    return {
        "lines": [{"text": text, "state": state}],
        "state": "loading",
        "percent": percent,
        "eta_seconds": 4,
    }


STEPS = [
    told("Step 2: Loading X… 10%", "running", 10),
    told("Step 2: Loading X… 50%", "running", 50),
    told("Step 2: Loading X… 100%", "done", 100),
]


def shown(*steps: dict[str, Any], rewrite: bool) -> str:
    out = io.StringIO()
    screen = Screen(VisibleOutput(out), VisibleOutput(out), rewrite=rewrite)
    for step in steps or STEPS:
        screen.show(step)
    screen.finish()
    return out.getvalue()


def test_on_a_terminal_one_line_is_rewritten() -> None:
    text = shown(rewrite=True)
    assert text.count("\n") == 1
    assert "[████████████············] about 4 s left" in text
    assert text.endswith("\r\033[KStep 2: Loading X… 100%\n")


def test_a_step_that_failed_is_not_written_again() -> None:
    assert shown(STEPS[0], told("Step 2: Loading X…", "failed"), rewrite=False) == "Step 2: Loading X…\n"


def test_elsewhere_each_line_is_written_once() -> None:
    assert shown(rewrite=False) == "Step 2: Loading X…\nStep 2: Loading X… 100%\n"


def test_control_characters_are_shown_and_not_sent_to_the_terminal(catalog: Any) -> None:
    TabbyModel.objects.create(name="evil\x1b[2J\x07\u202e\x9bname")
    out = io.StringIO()
    call_command("models", stdout=out)
    assert "evil␛[2J␇\ufffd\ufffdname" in out.getvalue()
    text = shown(told("Step 2: Loading \x1b[2J…", "failed"), rewrite=True)
    assert text == "Step 2: Loading ␛[2J…\n"
