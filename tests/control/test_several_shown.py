"""Where there are several servers, what is wrong and what is done is told with the name of the server that it is about."""

from __future__ import annotations

from typing import Any

from control_rows import LLAMA, QWEN
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from models_admin.models import Rollout, Server, Source, State, Switch
from models_admin.ops import diagnostics
from models_admin.presentation import snapshots, team_snapshots
from models_admin.servers import known, state_row
from models_admin.servers.finding import Finding
from models_admin.switching import rollout, service, transitions
from models_admin.tabby.errors import Unreachable

MODELS = "/admin/models_admin/tabbymodel/"


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


def begun(target: str = QWEN) -> Rollout:
    whole = rollout.request(target, known.all_servers(), source=Source.API).rollout
    assert whole is not None
    return whole


def at(state: State, **fields: Any) -> None:
    Switch.objects.filter(finished_at=None).update(state=state, state_since=timezone.now(), **fields)


def test_the_banner_shows_what_each_runs_and_how_far_a_rollout_is(
    admin_client: Client, two: tuple[int, int]
) -> None:
    page = html(admin_client, MODELS)
    assert '<span class="gantry-badge gantry-good">gpu2</span> Llama' in page
    begun()
    at(State.LOADING, percent=40)
    page = html(admin_client, MODELS)
    assert f"✓ {LLAMA} is loaded" in page, "gpu2 answers"
    assert f"Switching to {QWEN} on 2 servers, one after the other: <span data-percent>22</span>%" in page
    assert f">gpu1: loading {QWEN}… 40%</li>" in page
    assert ">gpu2: waits for its turn</li>" in page
    assert f'gantry-busy">gpu1</span> loading {QWEN}' in page


def test_it_is_cancelled_from_there_and_goes_back_where_that_is_ticked(
    admin_client: Client, two: tuple[int, int]
) -> None:
    row = begun()
    first = row.switches.get()
    page = html(admin_client, MODELS)
    assert f"cancel/{first.pk}/" in page
    assert "go_back" not in page, "nothing is changed yet"
    at(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    rollout.advance(row.pk)
    assert 'name="go_back"' in html(admin_client, MODELS)
    admin_client.post(f"{MODELS}cancel/{first.pk}/", {"go_back": "on"})
    row.refresh_from_db()
    assert (row.cancel_requested is not None, row.go_back) == (True, True)
    assert [each.target for each in row.switches.filter(finished_at=None)] == [LLAMA]
    page = html(admin_client, MODELS)
    assert "Cancelled: no other server begins." in page
    assert "cancel/" not in page


def test_what_came_of_it_is_told_for_each_server(admin_client: Client, two: tuple[int, int]) -> None:
    row = begun()
    at(State.FAILED, finished_at=timezone.now(), error="It does not fit.", result=LLAMA)
    rollout.advance(row.pk)
    page = html(admin_client, MODELS)
    assert ">✗ gpu1: It does not fit.</li>" in page
    assert ">gpu2: was not touched</li>" in page
    alone = transitions.request(two[1], QWEN, source=Source.API)
    assert f"gpu2: Switching from {LLAMA} to {QWEN}" in html(admin_client, MODELS)
    at(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    assert alone.rollout is None
    assert ">gpu2: ✓ Model switched successfully!</li>" in html(admin_client, MODELS)


def test_pages_are_sent_a_rollout_and_people_who_chat_without_who_asked(two: tuple[int, int]) -> None:
    mark, _ = team_snapshots.newer(None)
    assert team_snapshots.current()["rollout"] is None
    row = begun()
    Rollout.objects.update(requested_by=User.objects.create(username="mara"))
    before, told = team_snapshots.newer(mark)
    assert told is not None
    assert told["rollout"] is not None
    assert (told["rollout"]["percent"], told["rollout"]["by"]) == (0, "mara")
    public = snapshots.public(told)["rollout"]
    assert public is not None
    assert public["by"] == ""
    Rollout.objects.filter(pk=row.pk).update(cancel_requested=timezone.now())
    assert team_snapshots.newer(before)[1] is not None


def test_where_all_are_out_of_service_nobody_answers(two: tuple[int, int]) -> None:
    service.take_out(two[0])
    assert team_snapshots.current()["state"] == "ready"
    service.take_out(two[1], forced=True)
    told = team_snapshots.current()
    assert (told["state"], told["model"]) == ("unloaded", "")
    service.put_back(two[1])
    lose(two[1])
    assert team_snapshots.current()["state"] == "unreachable", "the one out of service is not meant"
