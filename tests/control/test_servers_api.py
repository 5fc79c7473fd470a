"""Servers through the HTTP API and the command: what each does, and which of several are given replies."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from control_rows import LLAMA, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client

from models_admin.models import Lease, Server, State
from models_admin.servers import state_row
from models_admin.switching import gate
from models_admin.tabby.errors import Unreachable

SERVERS = "/api/admin/servers"
pytestmark = pytest.mark.usefixtures("catalog")


def listed(client: Client) -> list[dict[str, Any]]:
    answer = client.get(SERVERS)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["servers"]
    return found


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.generic(
        "POST", f"{SERVERS}/{path}", json.dumps(body) if body else b"", content_type="application/json"
    )


def command(*words: str) -> str:
    out = io.StringIO()
    call_command("servers", *words, stdout=out, stderr=out)
    return out.getvalue()


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as caught:
        command(*words)
    assert caught.value.returncode == 1
    return str(caught.value)


def test_how_fast_each_writes_is_listed_unless_redis_is_away(
    admin_client: Client, two: tuple[int, int], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert [each["tokens_per_second"] for each in listed(admin_client)] == [None, None]
    monkeypatch.setattr("models_admin.counters.paces", lambda: {two[1]: 1052.44})
    assert [each["tokens_per_second"] for each in listed(admin_client)] == [0.0, 1052.4]
    first, second = command().splitlines()
    assert ("tokens/s" in first, "1,052.4 tokens/s" in second) == (False, True)


def test_each_is_listed_with_what_it_runs_and_does(admin_client: Client, two: tuple[int, int]) -> None:
    gate.lease(two[1], "web", ["reply 1", "reply 2"])
    running(State.LOADING, percent=40)
    state_row.set_trouble(two[1], Unreachable("It cannot be reached"))
    first, second = listed(admin_client)
    assert (first["name"], first["address"]) == ("gpu1", "http://127.0.0.1:9"), "without the password"
    assert (first["state"], first["model"], first["replying"]) == ("switching", LLAMA, 0)
    assert first["switch"]["percent"] == 40
    assert (second["name"], second["state"], second["replying"]) == ("gpu2", "unreachable", 2)
    assert (second["in_service"], second["switch"], second["error"]) == (True, None, "It cannot be reached.")
    assert "sesame" not in json.dumps([first, second])


def test_one_without_a_name_is_listed_too(admin_client: Client) -> None:
    (only,) = listed(admin_client)
    assert (only["name"], only["address"], only["model"]) == ("", "http://127.0.0.1:9", LLAMA)
    answer = post(admin_client, "gpu1/out")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no server “gpu1”. There are: one, without a name."
    assert command().startswith(f"✓ TabbyAPI  http://127.0.0.1:9  {LLAMA}\n")


def test_one_is_taken_out_and_put_back_as_often_as_that_is_said(
    admin_client: Client, two: tuple[int, int]
) -> None:
    gate.lease(two[1], "web", ["reply 1"])
    taken = post(admin_client, "gpu2/out")
    assert taken.status_code == 200, taken.content
    assert (taken.json()["name"], taken.json()["in_service"]) == ("gpu2", False)
    again = post(admin_client, "gpu2/out", {"let_go": True})
    assert again.json()["out_of_service_since"] == taken.json()["out_of_service_since"]
    assert Lease.objects.exclude(revoked_at=None).exists()
    assert [each["in_service"] for each in listed(admin_client)] == [True, False]
    for _ in range(2):
        back = post(admin_client, "gpu2/in")
        assert (back.status_code, back.json()["in_service"]) == (200, True)
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "object_repr", "change_message")
    assert list(entries) == [
        ("admin", "gpu2", "gpu2 was taken out of service."),
        ("admin", "gpu2", "gpu2 was put back into service."),
    ]


def test_the_last_one_that_answers_is_taken_out_only_by_force(
    admin_client: Client, two: tuple[int, int]
) -> None:
    state_row.set_trouble(two[1], Unreachable("It cannot be reached"))
    answer = post(admin_client, "gpu1/out")
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "gpu1 is the last server that answers: nobody would get a reply without it. "
        'Send {"force": true} to take it out all the same.'
    )
    assert post(admin_client, "gpu2/out").status_code == 200, "it answers nobody"
    assert "gpu1 is the last server in service" in post(admin_client, "gpu1/out").json()["detail"]
    assert post(admin_client, "gpu2/out").status_code == 200, "it is out already"
    assert post(admin_client, "gpu1/out", {"force": True}).status_code == 200
    assert Server.objects.exclude(out_of_service_since=None).count() == 2


def test_who_may_do_what(make_user: MakeUser, two: tuple[int, int]) -> None:
    clients = []
    for name, permissions in (("viewer", ["view_tabbymodel"]), ("operator", ["switch"]), ("nobody", [])):
        client = Client()
        client.force_login(make_user(name, *permissions))
        clients.append(client)
    assert [client.get(SERVERS).status_code for client in clients] == [200, 200, 403]
    assert [post(client, "gpu2/out").status_code for client in clients] == [403, 200, 403]
    assert [post(client, "gpu2/in").status_code for client in clients] == [403, 200, 403]
    assert Client().get(SERVERS).status_code == 401


@pytest.mark.usefixtures("two")
def test_what_is_no_server_or_no_request_is_refused_in_words(admin_client: Client) -> None:
    for path in ("gpu9/out", "gpu9/in"):
        answer = post(admin_client, path)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "There is no server “gpu9”. There are: gpu1, gpu2."
    assert post(admin_client, "gpu2/out", {"force": "yes"}).status_code == 422
    assert post(admin_client, "gpu2/out", {"forse": True}).status_code == 422


def test_the_command_does_the_same(admin_client: Client, two: tuple[int, int]) -> None:
    assert command().splitlines() == [
        f"✓ gpu1  http://127.0.0.1:9   {LLAMA}",
        f"✓ gpu2  http://127.0.0.1:10  {LLAMA}",
    ]
    assert json.loads(command("--json"))["servers"] == listed(admin_client)
    assert command("out", "gpu1") == f"  gpu1  http://127.0.0.1:9  {LLAMA}, out of service\n"
    assert refused("out", "gpu2") == (
        "gpu2 is the last server in service: nobody would get a reply without it. With --force it is taken out all the same."
    )
    assert refused("in", "gpu9") == "There is no server “gpu9”. There are: gpu1, gpu2."
    assert "out of service" in command("out", "gpu2", "--force")
    assert json.loads(command("--json", "in", "gpu1"))["in_service"]
    state_row.set_trouble(two[1], Unreachable("It cannot be reached"))
    running(State.LOADING, percent=40)
    assert "out of reach, out of service" in command()
    assert "loading 40%" in command()
