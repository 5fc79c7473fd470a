"""Models are downloaded by API and command, beside switches; a killed worker's begins again; tokens stay out of sight."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hub import TEAM, repository, size
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

ADD = "/api/admin/models/add"
TOKEN = "hf_a-token-that-nobody-may-see"
FOLDERS = ("Small-1B", "other-1B")


@pytest.fixture
def models(gantry: Gantry) -> Iterator[Path]:
    """TabbyAPI's model folder, without what the tests have brought into it."""
    root = Path(gantry.env["MODELS_DIR"])
    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    yield root
    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)


def hub(tabby: Tabby, models: Path, seconds: float, **how: Any) -> None:
    offered = repository(**how)
    offered["bytes_per_second"] = size(offered) / seconds
    tabby.state(hub={"repositories": [offered], "folder": str(models)})


def add(admin: Person, **body: Any) -> int:
    answer = admin.call("POST", ADD, {"repository": TEAM, **body})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"{ADD}/{answer.json()['id']}"
    return int(answer.json()["id"])


def now(admin: Person, number: int) -> dict[str, Any]:
    row: dict[str, Any] = admin.call("GET", f"{ADD}/{number}").json()
    return row


def listed(admin: Person) -> list[str]:
    return [each["id"] for each in admin.call("GET", "/api/admin/models").json()["models"]]


def test_a_switch_during_a_download_and_a_download_during_a_switch(
    tabby: Tabby, admin: Person, models: Path
) -> None:
    hub(tabby, models, seconds=600)
    number = add(admin)
    until(lambda: tabby.state()["downloads"], "the download")
    assert admin.switch("beta-8B-Q5").status_code == 200
    assert now(admin, number)["state"] == "downloading"
    assert "Small-1B" not in listed(admin)
    assert admin.call("POST", ADD, {"repository": TEAM}).status_code == 409
    assert admin.call("DELETE", f"{ADD}/{number}").status_code == 200
    until(lambda: now(admin, number)["state"] == "cancelled", "its end")
    assert not (models / "Small-1B").exists()

    hub(tabby, models, seconds=0.5)
    tabby.state(seconds_per_module={"slow-13B": 1})
    switch = admin.start_switch("slow-13B")
    until(lambda: tabby.state()["phase"] == "loading", "the load")
    number = add(admin)
    until(lambda: now(admin, number)["state"] == "done", "the download")
    assert admin.switch_row(switch)["state"] == "loading"
    assert "Small-1B" in listed(admin)
    tabby.state(seconds_per_module={"slow-13B": 0.001})
    until(lambda: admin.switch_row(switch)["state"] == "succeeded", "the switch")
    assert admin.switch("Small-1B").status_code == 200


def test_a_killed_workers_download_begins_again_and_its_token_is_seen_nowhere(
    tabby: Tabby, gantry: Gantry, admin: Person, models: Path
) -> None:
    hub(tabby, models, seconds=600, token=TOKEN)
    refused = add(admin, folder="other-1B", token="hf_another")
    until(lambda: now(admin, refused)["state"] == "failed", "the refusal")
    assert now(admin, refused)["error_kind"] == "gated"
    number = add(admin, token=TOKEN)
    until(lambda: now(admin, number)["bytes_done"], "the first bytes")
    gantry.kill("worker")
    hub(tabby, models, seconds=1, token=TOKEN)
    until(lambda: now(admin, number)["state"] == "done", "its end")
    asked = [each["body"] for each in tabby.log("/v1/download") if each["body"]["folder_name"] == "Small-1B"]
    assert len(asked) >= 2
    assert {each["token"] for each in asked} == {TOKEN}
    assert "Small-1B" in listed(admin)
    told = json.dumps(now(admin, number)) + "\n".join(gantry.seen) + "\n".join(_drained(gantry))
    assert TOKEN not in told
    kept = [each for each in gantry.folder.glob("gantry.sqlite3*") if TOKEN.encode() in each.read_bytes()]
    assert kept == []


def _drained(gantry: Gantry) -> list[str]:
    """The lines that Gantry has logged since it was last waited for one."""
    found = []
    while not gantry.lines.empty():
        if (line := gantry.lines.get()) is not None:
            found.append(line)
    gantry.seen += found
    return found


def test_the_command_shows_how_far_it_is_and_ends_with_an_honest_status(
    tabby: Tabby, gantry: Gantry, admin: Person, models: Path, tmp_path: Path
) -> None:
    hub(tabby, models, seconds=1.5, token=TOKEN)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    words = ("add_model", TEAM, "--folder", "other-1B")
    gated = manage(gantry, *words)
    assert gated.returncode == 1
    assert "does not let this Gantry have" in gated.stderr
    ended = manage(gantry, *words, "--token-file", str(tmp_path / "token"), "--json")
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (told[-1]["state"], told[-1]["folder"], told[-1]["source"]) == ("done", "other-1B", "command")
    again = manage(gantry, *words)
    assert (again.returncode, again.stderr.count("There is a model other-1B already")) == (1, 1)
    assert manage(gantry, "add_model", "no-repository").returncode == 1
    assert manage(gantry, *words, "--token-file", str(tmp_path / "nowhere")).returncode == 2
    hub(tabby, models, seconds=600)
    late = manage(gantry, "add_model", TEAM, "--timeout", "0")
    assert late.returncode == 124
    number = int(late.stderr.rpartition("number ")[2].split(")")[0])
    assert admin.call("DELETE", f"{ADD}/{number}").status_code == 200
    until(lambda: now(admin, number)["state"] == "cancelled", "its end")
