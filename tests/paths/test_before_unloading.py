"""What cannot work is refused while the old model still answers, and the option is named."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import whole
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

SWITCH = "/api/admin/models/switch"


def untouched(tabby: Tabby) -> bool:
    changed = [*tabby.log("/v1/model/unload"), *tabby.log("/v1/model/load")]
    return changed == [] and tabby.state()["loaded"] == "alpha-7B"


@pytest.mark.parametrize(
    ("options", "name", "there"),
    [
        ({"draft_model": {"draft_model_name": "nowhere-1B"}}, "draft_model", "beta-8B-Q5"),
        ({"prompt_template": "nowhere"}, "prompt_template", "alpaca, chatml"),
    ],
)
def test_what_tabbyapi_does_not_list_is_refused_with_the_old_model_untouched(
    tabby: Tabby, admin: Person, options: dict[str, Any], name: str, there: str
) -> None:
    answer = admin.call("POST", SWITCH, {"model_id": "beta-8B-Q5", "options": options})
    assert answer.status_code == 502
    told = answer.json()["detail"]
    assert f"The load option {name} asks for" in told
    assert there in told
    assert told.endswith("alpha-7B is loaded now.")
    assert untouched(tabby)


def test_a_context_without_room_for_a_reply_is_refused_at_once(tabby: Tabby, admin: Person) -> None:
    answer = admin.call("POST", SWITCH, {"model_id": "beta-8B-Q5", "options": {"max_seq_len": 2048}})
    assert answer.status_code == 400
    assert "The load option max_seq_len must be at least 2,304, not 2,048" in answer.json()["detail"]
    assert untouched(tabby)


def test_what_is_listed_is_taken(tabby: Tabby, admin: Person) -> None:
    options = {"draft_model": {"draft_model_name": "alpha-7B"}, "prompt_template": "chatml"}
    answer = admin.call("POST", SWITCH, {"model_id": "beta-8B-Q5", "options": options})
    assert answer.status_code == 200, answer.text


def test_a_server_that_lists_neither_is_not_asked_for_more(tabby: Tabby, admin: Person) -> None:
    for on in ("drafts", "templates"):
        tabby.fault(on, "status", status=404, message="Not Found")
    options = {"draft_model": {"draft_model_name": "alpha-7B"}, "prompt_template": "chatml"}
    answer = admin.call("POST", SWITCH, {"model_id": "beta-8B-Q5", "options": options})
    assert answer.status_code == 200, answer.text


def test_hidden_folders_are_no_models(tabby: Tabby, admin: Person) -> None:
    tabby.state(add_models=[".cache", "lost+found", "new-3B"])
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    listed = [each["id"] for each in admin.call("GET", "/api/admin/models").json()["models"]]
    assert "new-3B" in listed
    assert not {".cache", "lost+found"} & set(listed)
    assert admin.switch("lost+found").status_code == 404


def test_a_name_that_is_only_pretended_is_told_apart_when_it_is_refused(tabby: Tabby, admin: Person) -> None:
    tabby.state(add_models=["gpt-4o"])
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    words = "Could not find the model path for load. Check model name or config.yml?"
    tabby.fault("load", "status", status=400, message=words, model="gpt-4o")
    told = admin.switch("gpt-4o").json()["detail"]
    assert "use_dummy_models" in told
    assert told.endswith("alpha-7B is loaded now.")


def test_a_link_is_told_apart_from_a_model(tabby: Tabby, admin: Person) -> None:
    tabby.state(add_models=[{"name": "short-8B", "link": "beta-8B-Q5"}])
    admin.post_form("/admin/models_admin/tabbymodel/refresh/")
    with admin.watch() as page:
        number = admin.start_switch("short-8B")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        last = page.backend["last"]
    assert last["error"] == "TabbyAPI reported no error, yet beta-8B-Q5 is loaded instead of short-8B."
    assert "If short-8B is a link to the folder of beta-8B-Q5, choose beta-8B-Q5 itself" in last["advice"]
    assert last["result"] == until(lambda: tabby.state()["loaded"], "a loaded model") == "beta-8B-Q5"


@pytest.fixture
def cut_off(gantry: Gantry) -> Iterator[Path]:
    """The folder of beta-8B-Q5, whose weights are cut off."""
    folder = Path(gantry.env["MODELS_DIR"]) / "beta-8B-Q5"
    whole(folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(9_000)
    yield folder
    shutil.rmtree(folder)


def test_a_model_whose_files_are_broken_is_refused_for_everybody_and_loaded_for_whoever_insists(
    tabby: Tabby, admin: Person, gantry: Gantry, cut_off: Path
) -> None:
    began = time.monotonic()
    answer = admin.switch("beta-8B-Q5")
    print(f"refused within {time.monotonic() - began:.2f} s")
    assert answer.status_code == 400
    told = answer.json()["detail"]
    assert told.startswith("beta-8B-Q5 cannot be loaded: model.safetensors is cut off")
    assert told.endswith("alpha-7B is loaded now.")
    ended = manage(gantry, "switch_model", "beta-8B-Q5")
    assert ended.returncode == 1
    assert "model.safetensors is cut off" in ended.stdout + ended.stderr
    with admin.watch() as page:
        row = admin.call("GET", "/api/admin/switches?limit=1").json()["switches"][0]
        assert page.backend["last"]["error"] == row["error"]
    assert untouched(tabby)
    ended = manage(gantry, "switch_model", "beta-8B-Q5", "--force", "--json")
    assert ended.returncode == 0, ended.stderr
    assert tabby.state()["loaded"] == "beta-8B-Q5"
    row = admin.call("GET", "/api/admin/switches?limit=1").json()["switches"][0]
    assert (row["force"], len(row["file_notes"])) == (True, 1)


def test_doctor_tells_of_a_folder_that_cannot_be_read_or_is_another_one(
    tabby: Tabby, gantry: Gantry, tmp_path: Path
) -> None:
    assert "1 of the " in manage(gantry, "doctor").stdout
    gone = manage(gantry, "doctor", MODELS_DIR=str(tmp_path / "nowhere"))
    assert "MODELS_DIR cannot be read by the user" in gone.stdout
    (tmp_path / "holiday-pictures").mkdir()
    assert (
        "MODELS_DIR seems to be another folder" in manage(gantry, "doctor", MODELS_DIR=str(tmp_path)).stdout
    )
