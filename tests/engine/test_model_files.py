"""What the files of models say: whole ones in all their variety are taken, and broken ones refused, in words and in time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import bad_folders, good_folders, weights, whole

from models_admin.model_files import looks, memory
from models_admin.model_files.examining import examine
from models_admin.model_files.report import Report


def report_on(root: Path, name: str, seconds: float = 60) -> Report:
    return examine(root, name, time.monotonic() + seconds)


def test_of_sixty_folders_no_good_one_is_refused_and_each_bad_one_in_its_own_words(tmp_path: Path) -> None:
    good, bad = good_folders(tmp_path), bad_folders(tmp_path)
    assert (len(good), len(bad)) == (20, 40)
    refused = {name: found for name in good if (found := report_on(tmp_path, name).problems)}
    assert refused == {}
    passed = []
    for name, word in bad.items():
        report = report_on(tmp_path, name)
        assert json.loads(json.dumps(report.as_dict()).encode()) == Report.read(report.as_dict()).as_dict()
        told = " ".join(f"{each.what} {each.todo}" for each in report.problems)
        if not told:
            passed.append(name)
        assert word in told, (name, told)
        assert all(each.todo.endswith(".") for each in report.problems)
    assert passed == []


def test_what_is_found_is_told(tmp_path: Path) -> None:
    good_folders(tmp_path)
    quantized, own = report_on(tmp_path, "exl3-4.0bpw"), report_on(tmp_path, "own-config")
    assert (quantized.format, quantized.complete, quantized.context) == ("exl3 4 bpw", True, 8192)
    assert quantized.size == sum(each.stat().st_size for each in (tmp_path / "exl3-4.0bpw").iterdir())
    assert "max_seq_len: 4096" in own.config
    assert own.settings == {"max_seq_len": "4096", "cache_mode": "Q8"}
    assert "No chat template" in report_on(tmp_path, "no-template").notes[0]
    assert report_on(tmp_path, "bf16").format == "bf16"
    assert report_on(tmp_path, "fp8").format == "fp8 fp8"


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    whole(elsewhere / "secret")
    whole(root / "a")
    (elsewhere / "secret" / "note").write_text("a secret")
    (root / "link").symlink_to(elsewhere / "secret")
    (root / "a" / "tabby_config.yml").symlink_to(elsewhere / "secret" / "note")
    (root / "a" / "loop").symlink_to("loop")
    for name in ("link", "..", "../elsewhere/secret", "", ".", "/etc", "a\0b", "nowhere", "x" * 5000):
        report = report_on(root, name)
        assert (report.found, report.problems) == (False, []), name
        assert report.notes
    inside = report_on(root, "a")
    assert inside.problems == []
    assert inside.config == ""
    assert "leads out of MODELS_DIR" in " ".join(inside.notes)


def test_weights_that_gantry_may_not_follow_are_no_reason_to_refuse(tmp_path: Path) -> None:
    root, hub = tmp_path / "models", tmp_path / "hub"
    whole(root / "a")
    hub.mkdir()
    (root / "a" / "model.safetensors").rename(hub / "model.safetensors")
    (root / "a" / "model.safetensors").symlink_to(hub / "model.safetensors")
    report = report_on(root, "a")
    assert (report.problems, report.complete) == ([], False)


def test_huge_folders_and_files_cost_no_more_than_a_bound(tmp_path: Path) -> None:
    whole(tmp_path / "many")
    for number in range(5_100):
        (tmp_path / "many" / f"{number}").symlink_to("/")
    assert "more than 5,000" in report_on(tmp_path, "many").notes[0]
    whole(tmp_path / "long")
    (tmp_path / "long" / "tabby_config.yml").write_text("model:\n" + "  #x\n" * 100_000)
    with (tmp_path / "long" / "tokenizer.json").open("wb") as file:
        file.truncate(2**40)
    with (tmp_path / "long" / "model.safetensors").open("wb") as file:
        file.write((90 * 1024**2).to_bytes(8, "little") + b"{")
        file.truncate(2**40)
    report = report_on(tmp_path, "long")
    assert len(report.config) < 9_000
    assert [each.what.split()[0] for each in report.problems] == ["tokenizer.json"]
    assert "90" not in report.format
    assert any("was not read" in each for each in report.notes)


def test_the_time_for_looking_is_over_between_two_files(tmp_path: Path) -> None:
    whole(tmp_path / "a")
    report = report_on(tmp_path, "a", seconds=-1)
    assert (report.problems, report.complete) == ([], False)
    assert "too slow" in report.notes[0]


def test_memory_is_counted_from_below(tmp_path: Path) -> None:
    whole(tmp_path / "a")
    giga = 1024**3
    weights(tmp_path / "a" / "model.safetensors", {
        "model.embed_tokens.weight": ("F16", [giga]), "lm_head.weight": ("F16", [giga // 2]),
        "model.layers.0.x.weight": ("F8_E4M3", [giga]), "visual.x.weight": ("F16", [giga]),
        **{f"model.layers.{each}.n.weight": ("F16", [1]) for each in (1, 2, 3)},
    })  # fmt: skip
    report = report_on(tmp_path, "a")
    assert report.problems == []
    assert report.weights == 3 * giga + 6  # the head, and fp8 as fp16
    assert report.per_token == 2 * 2 * 4 * 2 * 16  # keys and values, 2 bytes, 4 layers, 2 heads of 16
    assert memory.too_much(report, {}, 3.1) is None
    assert memory.too_much(report, {}, 0) is None
    tokens = giga // 512
    too_much = memory.too_much(report, {"cache_size": tokens}, 3.9)
    assert too_much is not None
    assert "4.0 GB of GPU memory at least" in too_much.what
    assert memory.too_much(report, {"cache_size": tokens, "cache_mode": "Q8"}, 3.9) is None
    report.settings = {"cache_size": str(2 * tokens)}
    assert memory.too_much(report, {"cache_size": 256}, 4.9) is not None  # what the folder says, wins
    report.settings["cpu_moe_offload_layers"] = "10"
    assert memory.too_much(report, {}, 1) is None


def test_a_disk_that_hangs_holds_nobody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    back = threading.Event()
    monkeypatch.setattr(looks, "SLACK_SECONDS", 0.01)
    try:
        for _ in range(looks.MOST_HANGING + 2):
            with pytest.raises(looks.Silent):
                looks.within(0.01, back.wait)
        hanging = [each for each in threading.enumerate() if each.name == "look at files"]
        assert len(hanging) == looks.MOST_HANGING
    finally:
        back.set()
    for each in hanging:
        each.join()
    assert looks.within(30, lambda: 3) == 3  # the disk is back
    with pytest.raises(ZeroDivisionError):
        looks.within(30, lambda: 1 // 0)


def test_what_is_kept_any_database_takes(tmp_path: Path) -> None:
    whole(tmp_path / "a", quantization_config={"quant_method": "fp\0"})
    (tmp_path / "a" / "tabby_config.yml").write_text("model:\n  cache_mode: Q\0\x1b4\n")
    report = report_on(tmp_path, "a")
    assert report.settings == {"cache_mode": "Q\0\x1b4"}
    assert "\\u0000" not in json.dumps(report.as_dict())


def test_an_error_of_gantrys_own_is_no_reason_to_refuse(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.MODELS_DIR = str(tmp_path)
    monkeypatch.setattr(looks, "examine", lambda *_: 1 // 0)
    report = looks.look("a")
    assert (report.found, report.problems) == (False, [])
    assert "Gantry itself failed" in report.notes[0]
