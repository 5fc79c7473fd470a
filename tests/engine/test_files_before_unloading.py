"""A model whose files cannot be loaded is refused while the old one still serves, whoever asks; with `force` it is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import weights, whole
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby
from support.tabby import running as sandbox

from models_admin.automation import upkeep
from models_admin.model_files import looks
from models_admin.models import Rule, Source, State, Switch, TabbyModel, Trigger
from models_admin.presentation.waiting import describe
from models_admin.servers import state_row
from models_admin.switching import runner, transitions

BETA = "beta-8B-Q5"


@pytest.fixture(scope="module")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with sandbox(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        yield tabby


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The model folder, in which beta-8B-Q5 is cut off."""
    whole(tmp_path / "models" / "alpha-7B")
    whole(tmp_path / "models" / BETA)
    path = tmp_path / "models" / BETA / "model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 64)
    return tmp_path / "models"


@pytest.fixture
def tabby(
    _sandbox: Tabby, transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, root: Path
) -> Tabby:
    """The sandbox with alpha-7B loaded, as Gantry has seen it."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    monkeypatch.setattr("models_admin.events.nudge_worker", lambda *args: None)
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = _sandbox.url, ADMIN_KEY
    settings.SWITCH_TIMEOUT, settings.DRAIN_TIMEOUT, settings.MODELS_DIR = 20, 0, str(root)
    _sandbox.no_faults()
    _sandbox.reset()
    upkeep.refresh(SERVER)
    return _sandbox


def switch_to(target: str = BETA, **how: Any) -> Switch:
    asked = transitions.request(SERVER, target, **{"source": Source.API, **how})
    return carry_out(asked)


def carry_out(asked: Switch) -> Switch:
    runner.run(asked.pk)
    return Switch.objects.get(pk=asked.pk)


def unloads(tabby: Tabby) -> list[Any]:
    return [*tabby.log("/v1/model/unload"), *tabby.log("/v1/model/load")]


def test_it_is_refused_in_words_and_nothing_was_sent(tabby: Tabby) -> None:
    began = time.process_time()
    ended = switch_to()
    assert time.process_time() - began < 2
    assert (ended.state, ended.result, ended.error_kind) == (State.FAILED, "alpha-7B", "files_refused")
    assert (
        ended.error
        == f"{BETA} cannot be loaded: model.safetensors is cut off: 64 bytes of 66,048 bytes are missing."
    )
    assert ended.advice.startswith("Nothing was unloaded. Download this file again.")
    assert unloads(tabby) == []
    assert state_row.row(SERVER).model == "alpha-7B"
    row = TabbyModel.objects.get(name=BETA)
    assert row.files["problems"][0]["what"].startswith("model.safetensors is cut off")


def test_a_rule_meets_the_same_refusal(tabby: Tabby) -> None:
    rule = Rule.objects.create(trigger=Trigger.TIME, target=BETA)
    ended = switch_to(source=Source.RULE, rule=str(rule))
    assert (ended.state, ended.error_kind) == (State.FAILED, "files_refused")
    assert unloads(tabby) == []


def test_with_force_it_goes_on_and_the_history_says_so(tabby: Tabby) -> None:
    ended = switch_to(force=True)
    assert (ended.state, ended.result, ended.force) == (State.SUCCEEDED, BETA, True)
    assert ended.file_notes == [
        "Loaded although model.safetensors is cut off: 64 bytes of 66,048 bytes are missing."
    ]
    told = describe(ended.pk)
    assert told["force"]
    assert {"text": ended.file_notes[0], "state": "note"} in told["lines"]


def test_whoever_joins_with_force_decides_for_a_switch_that_has_not_begun(tabby: Tabby) -> None:
    asked = transitions.request(SERVER, BETA, source=Source.API)
    joined = transitions.request(SERVER, BETA, source=Source.ADMIN, force=True)
    assert joined.pk == asked.pk
    assert carry_out(asked).state == State.SUCCEEDED


def test_what_is_loaded_already_is_not_judged(tabby: Tabby, root: Path) -> None:
    (root / "alpha-7B" / "config.json").unlink()
    assert switch_to("alpha-7B").state == State.SUCCEEDED
    assert unloads(tabby) == []


def test_memory_counts_with_the_options_of_the_switch(tabby: Tabby, root: Path, settings: Any) -> None:
    weights(root / BETA / "model.safetensors", {
        f"model.layers.{each}.x.weight": ("F16", [1024**3 // 8]) for each in range(4)
    })  # fmt: skip
    settings.GANTRY_VRAM_GB = 1.5
    refused = switch_to(options={"cache_size": 4 * 1024**2})
    assert refused.error_kind == "files_refused"
    assert (
        "needs 3.0 GB of GPU memory at least, with a cache for 4,194,304 tokens, and there are 1.5 GB"
        in refused.error
    )
    assert switch_to(options={"max_seq_len": 4096}).state == State.SUCCEEDED


def test_a_folder_that_is_not_there_or_a_disk_that_hangs_refuses_nothing(
    tabby: Tabby, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.MODELS_DIR = str(tmp_path)
    ended = switch_to()
    assert (ended.state, ended.file_notes) == (State.SUCCEEDED, [])

    def hangs(*_: object) -> None:
        raise looks.Silent

    monkeypatch.setattr(looks, "look", hangs)
    ended = switch_to("alpha-7B")
    assert ended.state == State.SUCCEEDED
    assert ended.file_notes == ["Its files were not looked at: the disk of MODELS_DIR does not answer."]


def test_models_are_looked_at_once_and_again_when_that_is_long_ago(tabby: Tabby, root: Path) -> None:
    looks.refresh(60)
    whole(root / "gamma-VL-7B")
    looks.refresh(60)  # none is due
    assert TabbyModel.objects.filter(files_at=None).count() == 0
    assert TabbyModel.objects.get(name="alpha-7B").files["format"] == "fp16"
    assert not TabbyModel.objects.get(name="gamma-VL-7B").files["found"]
    row = TabbyModel.objects.get(name="gamma-VL-7B")
    row.files_at -= 2 * looks.RENEW_AFTER
    row.save()
    looks.refresh(60)
    assert TabbyModel.objects.get(name="gamma-VL-7B").files["found"]
