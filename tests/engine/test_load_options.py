"""Load options are checked before anything is unloaded."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError
from support.servers import SERVER

from models_admin.models import Source, Switch, TabbyModel
from models_admin.servers.options import validated
from models_admin.switching.transitions import BadOptions, request

GOOD = {
    "max_seq_len": 8192,
    "cache_size": 16384,
    "cache_mode": "Q6",
    "tensor_parallel": True,
    "gpu_split": [20, 24.5],
    "autosplit_reserve": [96],
    "rope_alpha": "auto",
    "chunk_size": 2048,
    "prompt_template": "chatml",
    "vision": False,
    "draft_model": {"draft_model_name": "small", "draft_rope_alpha": "auto", "draft_cache_mode": "Q8"},
}


def test_good_options_stay_as_they_are() -> None:
    assert validated(GOOD) == GOOD


def test_options_without_a_value_are_left_out() -> None:
    assert validated({"max_seq_len": None}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_size", 1000),
        ("cache_size", "4096"),
        ("cache_size", True),
        ("cache_mode", "Q5"),
        ("cache_mode", "9,2"),
        ("gpu_split", []),
        ("gpu_split", [1, "x"]),
        ("gpu_split", [float("nan")]),
        ("max_seq_len", -1),
        ("vision", "yes"),
        ("prompt_template", "../../etc/passwd"),
        ("draft_model", {"draft_model_name": "../x"}),
        ("draft_model", {}),
        ("draft_model", {"draft_model_name": "\ud800"}),
        ("draft_model", {"draft_model_name": "small", "draft_rope_scale": float("nan")}),
        ("draft_model", {"draft_model_name": "small", "draft_rope_alpha": float("inf")}),
        ("draft_model", {"draft_model_name": "small", "draft_cache_mode": "Q\x00"}),
        ("rope_scale", float("inf")),
        ("rope_scale", 10**400),
        ("rope_alpha", 10**400),
        ("gpu_split", [10**30]),
        ("gpu_split", [10**400]),
        ("autosplit_reserve", [float("inf")]),
        ("model_name", "other"),
        ("skip_queue", True),
    ],
)
def test_a_bad_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        validated({name: value})


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"max_seq_len": 2048}, "max_seq_len"),
        ({"max_seq_len": 2303}, "max_seq_len"),
        ({"cache_size": 2048}, "cache_size"),
        ({"max_seq_len": 8192, "cache_size": 2048}, "cache_size"),
        ({"max_seq_len": 4096, "chunk_size": 4096}, "max_seq_len"),
    ],
)
def test_a_context_that_a_chunk_fills_is_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^The load option {name} must be at least"):
        validated(options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_seq_len": 2304},
        {"max_seq_len": 2048, "chunk_size": 512},
        {"max_seq_len": 2048, "cache_size": 4096},
        {"chunk_size": 8192},
    ],
)
def test_a_context_with_room_for_prompt_and_chunk_is_taken(options: dict[str, Any]) -> None:
    assert validated(options) == options


@pytest.mark.django_db
def test_a_request_with_a_bad_option_makes_no_switch() -> None:
    TabbyModel.objects.create(name="new", load_options={"cache_mode": "Q4"})
    with pytest.raises(BadOptions):
        request(SERVER, "new", source=Source.API, options={"cache_size": 100})
    assert not Switch.objects.exists()


@pytest.mark.django_db
def test_a_models_own_options_are_used_and_overridden_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    TabbyModel.objects.create(name="new", load_options={"cache_mode": "Q4", "max_seq_len": 4096})
    switch = request(SERVER, "new", source=Source.API, options={"max_seq_len": 8192})
    assert switch.options == {"cache_mode": "Q4", "max_seq_len": 8192}


@pytest.mark.django_db
def test_a_row_that_the_database_refuses_is_not_tried_for_ever() -> None:
    TabbyModel.objects.create(name="new")
    with pytest.raises(IntegrityError):
        request(SERVER, "new", source=None)  # type: ignore[arg-type]
