"""Where there are several servers, what is wrong is told with the name of the server it is about."""

from __future__ import annotations

from typing import Any

from django.test import Client

from models_admin.models import Server
from models_admin.ops import diagnostics
from models_admin.servers import state_row
from models_admin.servers.finding import Finding
from models_admin.switching import service
from models_admin.tabby.errors import Unreachable


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def lose(server: int) -> None:
    state_row.set_trouble(server, Unreachable("It cannot be reached"))


def test_one_that_answers_is_enough_to_be_ready_and_the_others_are_named(two: tuple[int, int]) -> None:
    def told() -> tuple[str, str]:
        found = diagnostics.readiness()["tabbyapi"]
        return found.level, found.title

    assert told() == ("ok", "gpu1, gpu2 answer")
    lose(two[0])
    assert told() == ("ok", "gpu2 answers. gpu1: TabbyAPI does not answer")
    service.take_out(two[1], forced=True)
    assert told() == ("error", "gpu1: TabbyAPI does not answer. gpu2 is out of service")
    service.put_back(two[1])
    failed = Finding("health", "error", "TabbyAPI reports a failure").as_dict()
    state_row.set_findings(two[1], [failed])
    assert told() == ("error", "gpu1: TabbyAPI does not answer. gpu2: TabbyAPI reports a failure")


def test_the_alarm_names_the_server(admin_client: Client, two: tuple[int, int]) -> None:
    assert "gantry-alarm" not in html(admin_client, "/admin/")
    lose(two[1])
    state_row.set_findings(two[0], [Finding("key", "error", "TabbyAPI refuses the key").as_dict()])
    assert ">gpu1: TabbyAPI refuses the key. gpu2: TabbyAPI cannot be reached</a>" in html(
        admin_client, "/admin/"
    )


def test_regular_tasks_are_judged_by_any_server_that_answers(two: tuple[int, int], settings: Any) -> None:
    lose(two[0])
    Server.objects.filter(pk=two[0]).update(catalog_at=None)
    assert diagnostics.beat().title == "The regular tasks run"
    Server.objects.filter(pk=two[1]).update(catalog_at=None)
    assert diagnostics.beat().level == "error"
    lose(two[1])
    assert diagnostics.beat().title.startswith("Regular tasks are not judged")
