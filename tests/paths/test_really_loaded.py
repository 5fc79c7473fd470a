"""What was asked for a load and what came of it: told wherever people look, and noticed when somebody else changes it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

MODELS_PAGE = "/admin/models_admin/tabbymodel/"
CONFIGURED = "configured-7B"
WORDS = "Asked for a context of 8,192; the server runs 3,072: the tabby_config.yml in its folder decides."


@pytest.fixture
def configured(tabby: Tabby, admin: Person) -> str:
    """A model whose folder has a tabby_config.yml."""
    model = {"name": CONFIGURED, "modules": 4, "seconds_per_module": 0.01, "max_seq_len": 16384}
    tabby.state(add_models=[{**model, "overrides": {"max_seq_len": 3072}}])
    admin.post_form(f"{MODELS_PAGE}refresh/")
    return CONFIGURED


def switched(admin: Person, model: str, **options: Any) -> dict[str, Any]:
    """Switch with these options; return the switch when it has ended."""
    body = {"model_id": model, "options": options}
    answer = admin.call("POST", "/api/admin/models/switch", body, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    number = answer.json()["id"]
    return ended(admin, number)


def ended(admin: Person, number: int) -> dict[str, Any]:
    def row() -> dict[str, Any] | None:
        found = admin.switch_row(number)
        return found if found["finished_at"] else None

    found: dict[str, Any] = until(row, "the end of the switch")
    return found


def kinds(switch: dict[str, Any]) -> dict[str, str]:
    return {each["option"]: each["kind"] for each in switch["differences"]}


def test_what_a_folders_own_configuration_decides_is_told_everywhere(
    configured: str, admin: Person, alice: Person
) -> None:
    switch = switched(admin, configured, max_seq_len=8192, cache_mode="Q8")
    assert switch["state"] == "succeeded"
    assert switch["options"] == {"max_seq_len": 8192, "cache_mode": "Q8"}
    assert (switch["parameters"]["max_seq_len"], switch["parameters"]["cache_mode"]) == (3072, "Q8")
    (difference,) = switch["differences"]
    assert (difference["option"], difference["asked"], difference["found"]) == ("max_seq_len", 8192, 3072)
    assert difference["text"] == WORDS
    with admin.watch() as page:
        page.until(lambda each: each.backend["differences"] == [difference], "what differs")
        assert page.backend["context"] == 3072
        assert WORDS in [line["text"] for line in page.backend["last"]["lines"]]
    assert admin.get(MODELS_PAGE).text.count(WORDS) == 1
    assert WORDS in admin.get(f"/admin/models_admin/switch/{switch['id']}/change/").text
    history = csv.DictReader(io.StringIO(admin.get("/admin/models_admin/switch/export/").text))
    assert next(history)["differences"] == WORDS
    with alice.watch() as page:
        assert WORDS not in str(page.backend), "load options are an administrator's matter"


def test_the_command_tells_it_too(configured: str, gantry: Gantry) -> None:
    done = manage(gantry, "switch_model", configured, "--options", "max_seq_len=8192")
    done.check_returncode()
    assert WORDS in done.stdout


def test_what_is_ignored_fallen_back_from_or_not_shown_is_told(tabby: Tabby, admin: Person) -> None:
    options = {
        "max_batch_size": 4, "rope_scale": 2, "vision": True, "tensor_parallel": True, "cache_size": 4096,
        "max_seq_len": 8192, "draft_model": {"draft_model_name": "alpha-7B", "draft_cache_mode": "Q8"},
    }  # fmt: skip
    switch = switched(admin, "beta-8B-Q5", **options)
    assert switch["state"] == "succeeded", switch["error"]
    assert kinds(switch) == {
        "max_batch_size": "ignored",
        "rope_scale": "ignored",
        "draft_model.draft_cache_mode": "ignored",
        "vision": "differs",
        "max_seq_len": "differs",
        "tensor_parallel": "unconfirmed",
        "draft_model": "unconfirmed",
    }
    lines = " ".join(line["text"] for line in switch["lines"])
    assert "the server runs 4,096: it is cut to the cache's size." in lines
    assert "Asked for a batch size of 4; the server runs 128: this TabbyAPI ignores the option." in lines
    assert "Not confirmed, because TabbyAPI does not show it: draft_model, tensor_parallel." in lines
    assert "tensor_parallel on (not confirmed)" in admin.get(MODELS_PAGE).text


def test_what_is_as_it_was_asked_for_needs_no_word(tabby: Tabby, admin: Person) -> None:
    switch = switched(
        admin, "beta-8B-Q5", max_seq_len=4096, cache_size=8192, cache_mode="8, 6".replace(" ", ""),
        chunk_size=512, prompt_template="chatml", vision=False,
    )  # fmt: skip
    assert switch["state"] == "succeeded", switch["error"]
    assert switch["differences"] == []
    assert switch["lines"][-1]["text"] == "✓ Model switched successfully!"


def test_a_rollback_is_compared_too(configured: str, admin: Person) -> None:
    switched(admin, configured, max_seq_len=8192)
    failed = switched(admin, "huge-70B")
    assert (failed["state"], failed["result"]) == ("failed", configured)
    assert failed["lines"][-1]["text"] == WORDS
    rollback = admin.call("GET", "/api/admin/switches?limit=1").json()["switches"][0]
    assert (rollback["source"], rollback["options"]) == ("rollback", {"max_seq_len": 8192})
    assert rollback["parameters"]["max_seq_len"] == 3072
    with admin.watch() as page:
        assert [each["text"] for each in page.backend["differences"]] == [WORDS]


def test_a_reload_with_other_parameters_is_noticed_like_another_model(tabby: Tabby, admin: Person) -> None:
    switched(admin, "beta-8B-Q5", max_seq_len=4096, cache_mode="Q8")
    with admin.watch() as page:
        page.until(lambda each: (each.backend["last"] or {}).get("target") == "beta-8B-Q5", "the switch")
        epoch = page.backend["epoch"]
        tabby.state(loaded="beta-8B-Q5", options={"max_seq_len": 4096, "cache_mode": "Q4"})
        page.until(lambda each: each.backend["epoch"] > epoch, "the change")
        last = page.backend["last"]
        assert (last["source"], last["target"], last["previous"]) == ("outside", "beta-8B-Q5", "beta-8B-Q5")
        assert "cache_mode Q4 instead of Q8" in last["lines"][0]["text"]
        assert page.backend["parameters"]["cache_mode"] == "Q4"
        assert page.backend["options"] == {}, "nobody knows what was asked for"
    assert "cache_mode Q4 instead of Q8" in admin.get(MODELS_PAGE).text
    # What Gantry had loaded is not what is there, so asking for it loads it.
    assert switched(admin, "beta-8B-Q5", max_seq_len=4096, cache_mode="Q8")["state"] == "succeeded"
    assert tabby.state()["options"]["cache_mode"] == "Q8"


def test_a_load_of_ones_own_is_no_change_from_outside(configured: str, admin: Person) -> None:
    mine = switched(admin, configured, max_seq_len=8192)
    with admin.watch() as page:
        epoch = page.backend["epoch"]
        for _ in range(2):
            admin.post_form(f"{MODELS_PAGE}refresh/")
    with admin.watch() as page:
        assert (page.backend["epoch"], page.backend["last"]["id"]) == (epoch, mine["id"])
