"""Aliases of models through the HTTP API and the command."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client

from models_admin.models import Alias, TabbyModel

ALIASES = "/api/admin/aliases"
Catalog = dict[str, TabbyModel]


def send(client: Client, method: str, path: str = "", body: Any = None) -> Any:
    return client.generic(method, f"{ALIASES}{path}", json.dumps(body), content_type="application/json")


def command(*words: str) -> str:
    out = io.StringIO()
    call_command("aliases", *words, stdout=out, stderr=out)
    return out.getvalue()


def refused(*words: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        command(*words)
    return caught.value


def test_the_life_of_an_alias(admin_client: Client, catalog: Catalog) -> None:
    Group.objects.create(name="writers")
    body = {"name": "coder", "model": LLAMA, "sampling": {"temperature": 0.2}, "groups": ["writers"]}
    made = send(admin_client, "POST", "", body)
    assert made.status_code == 201
    assert {**made.json(), **body} == made.json()
    assert made.json()["answers"]

    change = {"model": QWEN, "sampling": {}, "system_prompt": "Be brief.", "groups": None}
    changed = send(admin_client, "PATCH", "/Coder", change)
    assert changed.status_code == 200
    assert {**changed.json(), **change, "answers": False} == changed.json()
    assert send(admin_client, "PATCH", "/coder", {}).json()["system_prompt"] == "Be brief."

    retired = send(admin_client, "DELETE", f"/coder?successor={LLAMA}").json()
    assert retired["retired_at"]
    assert retired["successor"] == LLAMA
    restored = send(admin_client, "POST", "/coder/restore")
    assert restored.json()["retired_at"] is None
    history = [
        (each["event"], each["by"], each["before"], each["after"]) for each in restored.json()["history"]
    ]
    assert history == [
        ("restored", "admin", "", QWEN),
        ("retired", "admin", QWEN, LLAMA),
        ("pointed", "admin", LLAMA, QWEN),
        ("made", "admin", "", LLAMA),
    ]
    (listed,) = admin_client.get(ALIASES).json()["aliases"]
    shown = admin_client.get(f"{ALIASES}/coder").json()
    del shown["history"]
    assert listed == shown


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("POST ", {"name": LLAMA}, 409),
        ("POST ", {"name": "TEAM"}, 409),
        ("POST ", {"name": "a b"}, 422),
        ("POST ", {"name": "x", "model": "nothing"}, 400),
        ("POST ", {"name": "x", "sampling": {"temperature": 9}}, 400),
        ("POST ", {"name": "x", "groups": ["nobody"]}, 400),
        ("POST ", {"name": "x", "more": 1}, 422),
        ("PATCH /nothing", {}, 404),
        ("PATCH /team", {"name": "other"}, 422),
        ("DELETE /team?successor=nothing", None, 400),
        ("GET /%00", None, 404),
        ("POST /nothing/restore", None, 404),
    ],
)
def test_what_cannot_be_is_refused(
    admin_client: Client, catalog: Catalog, request_line: str, body: Any, status: int
) -> None:
    assert send(admin_client, "POST", "", {"name": "team"}).status_code == 201
    answer = send(admin_client, *request_line.split(" "), body)
    assert answer.status_code == status, answer.content
    assert answer.json()["detail"]
    assert Alias.objects.count() == 1


def test_who_may_look_may_not_change(viewer: Client, make_user: MakeUser, catalog: Catalog) -> None:
    command("set", "team")
    assert viewer.get(ALIASES).status_code == 200
    assert viewer.get(f"{ALIASES}/team").status_code == 200
    nobody = Client()
    nobody.force_login(make_user("nobody"))
    for path in ("", "/team"):
        assert nobody.get(f"{ALIASES}{path}").status_code == 403
    for client in (viewer, nobody):
        for method, path in (
            ("POST", ""),
            ("PATCH", "/team"),
            ("DELETE", "/team"),
            ("POST", "/team/restore"),
        ):
            assert send(client, method, path, {"name": "x"} if not path else {}).status_code == 403
    manager = Client()
    manager.force_login(make_user("manager", "manage"))
    assert send(manager, "PATCH", "/team", {"model": QWEN}).status_code == 200


def test_the_command_makes_changes_and_retires(catalog: Catalog) -> None:
    Group.objects.create(name="writers")
    words = ("--sampling", "temperature=0.2", "top_k=40", "--groups", "writers")
    assert command("set", "coder", "--model", QWEN, *words) == f"  coder  {QWEN}, not loaded\n"
    assert command("set", "team", "--model", "").startswith("✓ team")
    (coder, team) = json.loads(command("--json"))["aliases"]
    assert (coder["sampling"], coder["groups"]) == ({"temperature": 0.2, "top_k": 40}, ["writers"])
    assert (team["model"], team["answers"], team["groups"]) == ("", True, None)
    assert json.loads(command("--json", "set", "coder", "--model", LLAMA))["answers"]
    row = Alias.objects.get(name="coder")
    assert (row.sampling, row.everybody) == ({"temperature": 0.2, "top_k": 40}, False)
    command("set", "coder", "--everybody", "--sampling")
    row.refresh_from_db()
    assert (row.sampling, row.everybody, row.groups.count()) == ({}, True, 0)
    assert "retired: use team" in command("retire", "coder", "--successor", "team")
    assert command().splitlines()[0] == f"  coder  {LLAMA}, retired: use team"
    assert command("restore", "coder").startswith("✓ coder")


def test_the_command_ends_as_it_went(catalog: Catalog) -> None:
    assert "no aliases" in command()
    assert refused("set", "coder", "--model", "nothing").returncode == 1
    assert refused("set", LLAMA).returncode == 1
    assert refused("retire", "coder").returncode == 1
    assert refused("restore", "coder").returncode == 1
    assert refused("set", "coder", "--sampling", "temperature").returncode == 2
    assert refused("set", "coder", "--sampling", "temperature=hot").returncode == 2
    assert not Alias.objects.exists()
