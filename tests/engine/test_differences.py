"""What was asked for against what the card shows; and a card that is not the one that was seen last."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from support.servers import SERVER

from models_admin import process
from models_admin.models import Source, State, Switch, TabbyModel
from models_admin.servers import differences, state_row
from models_admin.switching import observation, transitions
from models_admin.tabby.wire import ModelCard

pytestmark = pytest.mark.django_db

SHOWN = {
    "max_seq_len": 3072, "cache_size": 3072, "cache_mode": "Q8", "chunk_size": 2048, "max_batch_size": 128,
    "rope_scale": 1.0, "rope_alpha": 1.0, "prompt_template": "chatml", "use_vision": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)


def told(options: dict[str, Any], **shown: Any) -> list[tuple[str, str]]:
    card = ModelCard("new", {**SHOWN, **shown})
    return [(each["kind"], each["text"]) for each in differences.found(options, card)]


DECIDES = "the tabby_config.yml in its folder decides."


@pytest.mark.parametrize(
    ("options", "shown", "kind", "words"),
    [
        ({"max_seq_len": 8192}, {}, "differs", f"a context of 8,192; the server runs 3,072: {DECIDES}"),
        (
            {"max_seq_len": 8192, "cache_size": 3072}, {}, "differs",
            "a context of 8,192; the server runs 3,072: it is cut to the cache's size.",
        ),
        ({"cache_mode": "Q4"}, {}, "differs", f"the cache mode Q4; the server runs Q8: {DECIDES}"),
        ({"chunk_size": 512}, {}, "differs", f"chunks of 512; the server runs 2,048: {DECIDES}"),
        ({"max_batch_size": 4}, {}, "ignored", "a batch size of 4; the server runs 128: this TabbyAPI ignores"),
        ({"rope_scale": 2.5}, {}, "ignored", "a rope scale of 2.5; the server runs 1: this TabbyAPI ignores"),
        ({"rope_alpha": "auto"}, {}, "ignored", "a rope alpha of auto; the server runs 1"),
        ({"vision": True}, {}, "differs", "vision on; the server runs off: the model cannot see, or the tabby"),
        ({"vision": False}, {"use_vision": True}, "differs", f"vision off; the server runs on: {DECIDES}"),
        ({"prompt_template": "x"}, {}, "differs", "template x; the server runs chatml: it has no template of"),
        ({"draft_model": {"draft_model_name": "tiny"}}, {"draft": "wee"}, "differs", "model tiny; the server runs wee"),
    ],
)  # fmt: skip
def test_a_difference_is_a_sentence(
    options: dict[str, Any], shown: dict[str, Any], kind: str, words: str
) -> None:
    ((found, text),) = told(options, **shown)
    assert found == kind
    assert words in text
    assert text.startswith("Asked for ")
    assert text.endswith(".")


@pytest.mark.parametrize(
    "options",
    [
        {"max_seq_len": 3072, "cache_mode": "Q8", "vision": False, "prompt_template": "chatml"},
        {"rope_scale": 1, "max_batch_size": 128},
    ],
)
def test_what_agrees_needs_no_word(options: dict[str, Any]) -> None:
    assert told(options) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpu_split", [20, 22]), ("tensor_parallel", True), ("draft_model", {"draft_model_name": "tiny"})],
)
def test_what_the_card_does_not_show_is_not_confirmed(name: str, value: Any) -> None:
    ((kind, text),) = told({name: value})
    assert kind == "unconfirmed"
    assert "not confirmed" in text


def test_options_are_shown_as_they_are_in_effect() -> None:
    options = {"cache_mode": "Q4", "gpu_split": [20, 22.5], "rope_scale": 2}
    found = differences.found(options, ModelCard("new", SHOWN))
    assert differences.as_loaded(options, SHOWN, found) == [
        "cache_mode Q8", "gpu_split 20, 22.5 (not confirmed)", "rope_scale 2 (ignored)"
    ]  # fmt: skip


def test_a_success_keeps_the_card_and_what_differs() -> None:
    TabbyModel.objects.create(name="new")
    switch = Switch.objects.create(
        server_id=SERVER,
        target="new",
        source=Source.API,
        drain_seconds=0,
        state=State.VERIFYING,
        owner=process.name(),
    )
    transitions.succeed(switch, card=ModelCard("new", SHOWN), options={"max_seq_len": 8192})
    switch.refresh_from_db()
    assert switch.card == SHOWN
    assert [each["option"] for each in switch.differences] == ["max_seq_len"]
    row = state_row.row(SERVER)
    assert (row.parameters, row.options, row.differences) == (
        SHOWN,
        {"max_seq_len": 8192},
        switch.differences,
    )


def known(**fields: Any) -> int:
    """A backend that was seen to run `new` with the parameters SHOWN; its epoch."""
    row = state_row.row(SERVER)
    row.model, row.parameters, row.options = "new", SHOWN, {"cache_mode": "Q8"}
    row.seen_at = row.loaded_at = timezone.now()
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    return row.epoch


def test_the_same_model_with_other_parameters_was_loaded_by_somebody_else() -> None:
    epoch = known()
    observation.observe(SERVER, ModelCard("new", {**SHOWN, "cache_mode": "Q4"}), epoch)
    row, outside = state_row.row(SERVER), Switch.objects.get()
    assert (row.epoch, row.parameters["cache_mode"], row.options) == (epoch + 1, "Q4", {})
    assert (outside.source, outside.target, outside.previous) == (Source.OUTSIDE, "new", "new")
    assert outside.detail == "cache_mode Q4 instead of Q8"
    assert outside.card["cache_mode"] == "Q4"


@pytest.mark.parametrize("shown", [{"draft": "tiny"}, {}])
def test_what_only_one_of_two_cards_shows_is_no_change(shown: dict[str, Any]) -> None:
    fewer = {name: value for name, value in SHOWN.items() if name != "chunk_size"}
    epoch = known()
    observation.observe(SERVER, ModelCard("new", {**fewer, **shown}), epoch)
    assert state_row.row(SERVER).epoch == epoch
    assert state_row.row(SERVER).options == {"cache_mode": "Q8"}
    assert not Switch.objects.exists()
