"""Downloads of models against the sandbox, as a worker carries them out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from support.hub import TEAM, repository, size
from support.servers import SERVER
from support.tabby import ADMIN_KEY, Tabby, until
from support.tabby import running as sandbox

from models_admin.adding import runner, transitions, words
from models_admin.adding.transitions import AddRefused, FolderTaken, Wanted
from models_admin.automation import upkeep
from models_admin.models import DownloadState, ModelDownload, Source, TabbyModel

FOLDER = "Small-1B"


@pytest.fixture(scope="module")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    with sandbox(tmp_path_factory.mktemp("tabby")) as (tabby, _):
        yield tabby


@pytest.fixture
def tabby(
    _sandbox: Tabby, transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tabby:
    """The sandbox, whose model folder is `tmp_path`, as Gantry has seen it."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY, settings.MODELS_DIR = (
        _sandbox.url,
        ADMIN_KEY,
        str(tmp_path),
    )
    _sandbox.no_faults()
    _sandbox.reset()
    upkeep.refresh(SERVER)
    return _sandbox


def hub(tabby: Tabby, tmp_path: Path, *, seconds: float = 0.1, **how: Any) -> dict[str, Any]:
    """Have the hub offer the small model, which takes so long."""
    more = {name: how.pop(name) for name in ("room",) if name in how}
    offered = repository(**how)
    offered["bytes_per_second"] = size(offered) / seconds
    tabby.state(hub={"repositories": [offered], "folder": str(tmp_path), **more})
    return offered


def ask(**wanted: Any) -> ModelDownload:
    return transitions.request(SERVER, Wanted(**{"repository": TEAM, **wanted}), source=Source.API)


def carried_out(download: ModelDownload) -> ModelDownload:
    runner.run(download.pk)
    download.refresh_from_db()
    return download


@pytest.fixture
def worker() -> Iterator[Callable[[ModelDownload], threading.Thread]]:
    """worker(download): carries it out in a thread."""
    threads = []

    def start(download: ModelDownload) -> threading.Thread:
        def work() -> None:
            runner.run(download.pk)
            connection.close()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield start
    for each in threads:
        each.join(120)
        assert not each.is_alive()


@pytest.mark.parametrize(
    "wanted",
    [
        *(
            {"folder": each}
            for each in ("../x", "a/b", "a\\b", ".", "..", ".hidden", "a\0b", " a", "a.", "x" * 256)
        ),
        *(
            {"repository": each}
            for each in ("", "alone", "a/b/c", "a/../b", "a b/c", "https://hub/a/b", "../x/y")
        ),
        *({"revision": each} for each in ("../main", "a b", "-x")),
        {"include": ["*"] * 51},
        {"include": ["a\nb"]},
    ],
)
def test_what_no_folder_or_repository_can_be_is_refused(db: None, wanted: dict[str, Any]) -> None:
    with pytest.raises(AddRefused) as refused:
        ask(**wanted)
    assert str(refused.value).endswith(".")
    assert not ModelDownload.objects.exists()


def test_a_folder_that_is_there_or_on_its_way_is_refused(db: None) -> None:
    TabbyModel.objects.create(name=FOLDER)
    with pytest.raises(FolderTaken, match="There is a model Small-1B already"):
        ask()
    ask(folder="other")
    with pytest.raises(FolderTaken, match="is being downloaded already"):
        ask(folder="other")


def test_a_model_is_downloaded_and_listed_with_what_its_files_say(tabby: Tabby, tmp_path: Path) -> None:
    offered = hub(tabby, tmp_path)
    ended = carried_out(ask(revision="main", include=["*.json", "*.safetensors"]))
    assert (ended.state, ended.error, ended.bytes_done) == (DownloadState.DONE, "", size(offered))
    assert tabby.log("/v1/download")[0]["body"] == {
        "repo_id": TEAM, "repo_type": "model", "folder_name": FOLDER, "revision": "main",
        "include": ["*.json", "*.safetensors"],
    }  # fmt: skip
    row = TabbyModel.objects.get(name=FOLDER)
    assert (row.vanished_at, row.files["found"], row.files["problems"]) == (None, True, [])
    assert words.describe(ended)["line"].startswith("Downloaded in ")


def test_while_it_grows_it_is_hidden_and_its_progress_is_known(
    tabby: Tabby, tmp_path: Path, worker: Callable[[ModelDownload], threading.Thread]
) -> None:
    offered = hub(tabby, tmp_path, seconds=6)
    asked = ask()
    worker(asked)

    def told() -> Any:
        asked.refresh_from_db()
        return words.describe(asked)

    until(lambda: told()["seconds_left"] is not None, "progress")
    now = told()
    assert size(offered) - 300 < now["bytes_total"] <= size(offered)  # to the small files, which grow, too
    assert 0 < now["bytes_done"] < size(offered)
    assert " a second, " in now["line"]
    assert FOLDER in [each["name"] if isinstance(each, dict) else each for each in tabby.state()["models"]]
    upkeep.refresh(SERVER)
    assert not TabbyModel.objects.filter(name=FOLDER).exists()
    until(lambda: told()["state"] == "done", "its end")
    assert TabbyModel.objects.filter(name=FOLDER, vanished_at=None).exists()


def test_without_the_folder_only_the_time_is_known(
    tabby: Tabby, tmp_path: Path, settings: Any, worker: Callable[[ModelDownload], threading.Thread]
) -> None:
    settings.MODELS_DIR = ""
    hub(tabby, tmp_path, seconds=600)
    asked = ask()
    worker(asked)
    until(lambda: tabby.state()["downloads"], "the download")
    until(lambda: ModelDownload.objects.get().heartbeat > asked.heartbeat, "a heartbeat")
    asked.refresh_from_db()
    told = words.describe(asked)
    assert (told["bytes_done"], told["seconds_left"]) == (None, None)
    assert told["line"].endswith(" so far")
    transitions.cancel(asked, user=None)


def test_a_cancelled_one_is_deleted_and_was_never_listed(
    tabby: Tabby, tmp_path: Path, worker: Callable[[ModelDownload], threading.Thread]
) -> None:
    hub(tabby, tmp_path, seconds=600)
    asked = ask()
    thread = worker(asked)
    until((tmp_path / FOLDER).exists, "the folder")
    transitions.cancel(asked, user=None)
    thread.join(60)
    asked.refresh_from_db()
    assert (asked.state, asked.error) == (DownloadState.CANCELLED, "Cancelled by somebody.")
    assert not (tmp_path / FOLDER).exists()
    upkeep.refresh(SERVER)
    assert not TabbyModel.objects.filter(name=FOLDER).exists()
    with pytest.raises(AddRefused, match="has ended"):
        transitions.cancel(asked, user=None)


def test_one_that_waits_is_cancelled_at_once(tabby: Tabby) -> None:
    asked = ask()
    transitions.cancel(asked, user=None)
    assert carried_out(asked).state == DownloadState.CANCELLED
    assert tabby.log("/v1/download") == []


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ({"wanted": {"repository": "team/none"}}, "unknown", "The hub has no repository team/none"),
        ({"wanted": {"revision": "other"}}, "unknown", "team/Small-1B has no revision other"),
        ({"wanted": {"include": ["*.gguf"]}}, "nothing", "No file of team/Small-1B fits"),
        ({"token": "hf_x"}, "gated", "does not let this Gantry have team/Small-1B"),
        ({"forbidden": True}, "gated", "does not let this Gantry have team/Small-1B"),
        ({"room": 1000}, "no_room", "has no room for team/Small-1B"),
        ({"breaks_at": 1000}, "connection", "The connection between TabbyAPI and the hub broke"),
        ({"wanted": {"folder": "alpha-7B"}}, "exists", "has alpha-7B already"),
    ],
)
def test_what_goes_wrong_is_told_in_words(
    tabby: Tabby, tmp_path: Path, how: dict[str, Any], kind: str, said: str
) -> None:
    wanted = how.get("wanted", {})
    hub(tabby, tmp_path, **{name: value for name, value in how.items() if name != "wanted"})
    TabbyModel.objects.filter(name="alpha-7B").delete()
    ended = carried_out(ask(**wanted))
    assert (ended.state, ended.error_kind) == (DownloadState.FAILED, kind)
    assert said in ended.error
    assert ended.advice.endswith(".")
    upkeep.refresh(SERVER)
    assert not TabbyModel.objects.filter(name=FOLDER).exists()


def test_a_tabbyapi_that_breaks_off_is_told(tabby: Tabby, tmp_path: Path) -> None:
    hub(tabby, tmp_path)
    tabby.fault("download", "drop", times=2)
    ended = carried_out(ask())
    assert (ended.state, ended.error_kind) == (DownloadState.FAILED, "unreachable")
    assert "remove that" in ended.advice


def test_one_that_came_to_its_end_unheard_is_taken_for_done_unless_its_files_are_broken(
    tabby: Tabby, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GOING_SECONDS", 0.1)
    hub(tabby, tmp_path)
    first = carried_out(ask())
    again = {
        "state": DownloadState.DOWNLOADING,
        "owner": "dead",
        "heartbeat": timezone.now().replace(year=2000),
    }
    ModelDownload.objects.filter(pk=first.pk).update(**again)
    assert carried_out(first).state == DownloadState.DONE
    (tmp_path / FOLDER / "model-00002-of-00002.safetensors").unlink()
    ModelDownload.objects.filter(pk=first.pk).update(**again)
    assert carried_out(first).error_kind == "exists"


def test_a_worker_that_ends_gives_its_downloads_back(
    tabby: Tabby, tmp_path: Path, worker: Callable[[ModelDownload], threading.Thread]
) -> None:
    hub(tabby, tmp_path, seconds=600)
    asked = ask()
    thread = worker(asked)
    until((tmp_path / FOLDER).exists, "the folder")
    transitions.release()
    thread.join(60)
    asked.refresh_from_db()
    assert (asked.state, asked.owner) == (DownloadState.QUEUED, "")
    assert transitions.orphans() == [asked.pk]
    hub(tabby, tmp_path)
    assert carried_out(asked).state == DownloadState.DONE
