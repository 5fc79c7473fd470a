"""The disk of the data folder is full for a while: only what needs it fails, in words; with room all goes on by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.disks import on_a_disk, seen_by
from support.people import Person
from support.tabby import until

from .running import Gantry, lives

PASSWORD = "the-administrators-password"
SIZE = "size=48m"


class SmallDisk(Gantry):
    """A Gantry whose data folder is a small disk of its own; its log is a file there, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, DATABASE_URL="", GANTRY_ADMIN_PASSWORD=PASSWORD, HEARTBEAT_TTL="3")
        up = 'exec "$@" > "$0/gantry.log" 2>&1'
        self.mounted = folder
        self.argv = on_a_disk(folder, SIZE, "sh", "-c", up, str(folder), *self.argv)

    def __enter__(self) -> SmallDisk:
        super(Gantry, self).__enter__()
        try:
            self.folder = seen_by(self.popen.pid, self.mounted)
            until(lambda: "Ctrl-C stops everything" in self.log(), "the start", patience=60)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.url = f"http://localhost:{self.port}"
        return self

    def log(self) -> str:
        try:
            return (self.folder / "gantry.log").read_text(errors="replace")
        except OSError:
            return ""

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let the disk have no room left, and then some again."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1024 * 1024, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path_factory.mktemp("small")) as process:
        yield process


@pytest.fixture(scope="module")
def admin(small: SmallDisk) -> Person:
    return Person(small.url, "admin", PASSWORD)


def findings(page: Any) -> list[str]:
    return [each["title"] for each in page.backend["findings"]]


FULL = "The disk is full: messages cannot be saved"


def test_messages_are_refused_in_words_and_answered_when_there_is_room(
    small: SmallDisk, admin: Person
) -> None:
    with admin.page() as chat, admin.watch() as models:
        assert chat.answered(chat.say("Before."))["status"] == "complete"
        with small.full():
            models.until(lambda each: FULL in findings(each), "the finding")
            client_id = chat.say("While it is full.")
            error = chat.event("error")
            assert (error["code"], error["client_id"]) == ("not_saved", client_id)
            assert "disk is full" in error["detail"]

            refused = admin.call("POST", "/api/conversations", {})
            assert refused.status_code == 507
            assert "disk is full" in refused.json()["detail"]
            assert admin.get("/").status_code == 200, "what is there can be read"
            assert FULL in admin.get("/admin/models_admin/tabbymodel/").text
            stranger = requests.Session()
            stranger.get(f"{small.url}/accounts/login/", timeout=10)
            form = {
                "username": "admin",
                "password": PASSWORD,
                "csrfmiddlewaretoken": stranger.cookies["csrftoken"],
            }
            page = stranger.post(f"{small.url}/accounts/login/", form, timeout=60)
            assert page.status_code == 507
            assert "disk is full" in page.text
            checks = requests.get(f"{small.url}/readyz", timeout=10).json()["checks"]
            assert not checks["disk"]["ok"]
        models.until(lambda each: FULL not in findings(each), "that it is over")
        chat.say("While it is full.", client_id)
        assert chat.answered(client_id)["status"] == "complete"
    assert "Traceback" not in small.log()


def test_a_reply_in_flight_loses_nothing(small: SmallDisk, admin: Person) -> None:
    with admin.page() as chat:
        client_id = chat.say("Count slowly.")
        chat.until(lambda each: any(m["status"] == "streaming" for m in each.messages.values()), "the stream")
        with small.full():
            chat.until(
                lambda each: not any(m["status"] == "queued" for m in each.messages.values()), "the end"
            )
        assert chat.answered(client_id)["status"] == "complete"


def test_up_lives_on_and_starts_again_what_ends(small: SmallDisk, admin: Person) -> None:
    killed = ("web", "worker", "beat")
    with small.full():
        before = small.children()
        for name in killed:
            os.kill(before[name], signal.SIGKILL)
        until(lambda: _serves(small), "the web process", patience=60)
        assert lives(small.popen.pid)
    until(
        lambda: all(small.children().get(name, before[name]) != before[name] for name in killed), "the table"
    )
    until(lambda: admin.switch("Llama-3.1-8B-Instruct").status_code == 200, "a switch")
    with admin.page() as chat:
        assert chat.answered(chat.say("After."))["status"] == "complete"
    assert "Traceback" not in small.log()


def _serves(small: SmallDisk) -> bool:
    return small.serves() and lives(small.popen.pid)
