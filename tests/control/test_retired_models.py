"""A model is retired and brought back: who is offered it no more, what is said of aliases, rules and files, what refuses."""

from __future__ import annotations

import html
import json
from io import StringIO
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from support.servers import SERVER

from models_admin.aliases import changes
from models_admin.aliases.changes import AliasRefused, Wanted
from models_admin.automation import rules
from models_admin.model_files import looks
from models_admin.model_files.report import Report, gigabytes
from models_admin.model_requests import asking
from models_admin.models import ModelRequest, Rule, Source, Switch, TabbyModel
from models_admin.servers import catalog as catalog_rows
from models_admin.setup import exporting, importing, retirement
from models_admin.setup.document import SetupRefused, read
from models_admin.switching import transitions

pytestmark = pytest.mark.django_db
MODELS = "/admin/models_admin/tabbymodel/"


@pytest.fixture
def client(make_user: MakeUser) -> Client:
    return client_with(make_user, "mara", "manage", "switch", "unload")


def client_with(make_user: MakeUser, name: str, *permissions: str) -> Client:
    user = make_user(name)
    user.is_staff = bool(permissions)
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_retired_model_is_offered_to_nobody_and_comes_back_as_it_was(
    catalog: dict[str, TabbyModel], client: Client, make_user: MakeUser
) -> None:
    row = catalog[QWEN]
    TabbyModel.objects.filter(pk=row.pk).update(notes="kept")
    user = client_with(make_user, "ida")

    def offers() -> list[bool]:
        out = StringIO()
        call_command("models", stdout=out)
        return [
            QWEN in shown(user, "/api/models"),
            QWEN in shown(user, "/api/models/requests"),
            QWEN in shown(client, "/api/models"),
            QWEN in shown(client, "/api/admin/models"),
            f'value="{QWEN}"' in shown(client, "/admin/models_admin/alias/add/"),
            f'value="model:{QWEN}"' in shown(client, "/admin/models_admin/rule/add/"),
            f">{QWEN}<" in shown(client, MODELS),
            QWEN in out.getvalue(),
        ]

    assert offers() == [True] * 8
    led = client.post(f"{MODELS}{row.pk}/retire/", follow=True).content.decode()
    assert "Retired since" in led
    assert offers() == [False] * 8
    assert ">Retired</span> since" in shown(client, f"{MODELS}?status=retired")
    catalog_rows.write(SERVER, [LLAMA, QWEN, MISTRAL], [])  # TabbyAPI has it still
    assert offers() == [False] * 8
    client.post(f"{MODELS}{row.pk}/restore/")
    assert offers() == [True] * 8
    row.refresh_from_db()
    assert (row.notes, row.retired_at) == ("kept", None)


def test_nothing_loads_it_and_whoever_asks_is_told(
    catalog: dict[str, TabbyModel], client: Client, make_user: MakeUser
) -> None:
    retirement.retire(QWEN)
    for source in (Source.COMMAND, Source.RULE):
        with pytest.raises(transitions.Retired, match="is retired"):
            transitions.request(SERVER, QWEN, source=source)
    answer = client.post("/api/admin/models/switch", {"model_id": QWEN}, "application/json")
    assert 400 <= answer.status_code < 500
    assert "is retired" in answer.json()["detail"]
    with pytest.raises(asking.NotOffered):
        asking.ask(SERVER, make_user("ida").pk, QWEN)
    with pytest.raises(AliasRefused):
        changes.make("coder", Wanted(model=QWEN), None)
    assert not Switch.objects.exists()


def test_what_it_takes_away_is_said_before_and_after(
    catalog: dict[str, TabbyModel], client: Client, make_user: MakeUser, settings: Any
) -> None:
    settings.KEEP_MODEL = QWEN
    changes.make("coder", Wanted(model=QWEN), None)
    rule = Rule.objects.create(name="Mornings", trigger="time", target=QWEN, at="08:00:00")
    asking.ask(SERVER, make_user("ida").pk, QWEN, "for code")
    page = shown(client, f"{MODELS}{catalog[QWEN].pk}/retire/")
    for words in ("“coder”", "“Mornings”", "1 open request ", "KEEP_MODEL"):
        assert words in page
    assert "No alias, no rule" in shown(client, f"{MODELS}{catalog[MISTRAL].pk}/retire/")
    retirement.retire(QWEN)
    assert ModelRequest.objects.get().state == "gone"
    assert "its model is retired" in shown(client, "/admin/models_admin/alias/")
    assert f"{QWEN} is retired: the rule does nothing" in shown(client, "/admin/models_admin/rule/")
    rules._run(SERVER, rule, rule.handled_until or catalog[QWEN].first_seen, QWEN)
    rule.refresh_from_db()
    assert "is retired" in rule.note


@pytest.mark.parametrize("folder", ["", "/srv/the models"])
def test_it_is_shown_where_its_files_are_and_what_deletes_them(
    catalog: dict[str, TabbyModel], client: Client, settings: Any, folder: str
) -> None:
    settings.MODELS_DIR = folder
    place = f"{folder}/{QWEN}" if folder else f"{QWEN} in TabbyAPI's model folder"
    command = f"rm -r -- '{folder}/{QWEN}'" if folder else f"rm -r -- {QWEN}"
    row = catalog[QWEN]
    looks.keep(QWEN, Report(found=True, size=4_300_000_000))
    page = html.unescape(shown(client, f"{MODELS}{row.pk}/retire/"))
    for words in (place, f"({gigabytes(4_300_000_000)})", command):
        assert words in page
    assert "rm -r" not in shown(client, f"{MODELS}{row.pk}/change/")
    retirement.retire(QWEN)
    assert command in html.unescape(shown(client, f"{MODELS}{row.pk}/change/"))


def test_a_model_that_is_loaded_or_in_a_switch_stays(catalog: dict[str, TabbyModel], client: Client) -> None:
    led = client.post(f"{MODELS}{catalog[LLAMA].pk}/retire/", follow=True).content.decode()
    assert f"“{LLAMA}” is loaded" in led
    transitions.request(SERVER, QWEN, source=Source.COMMAND)
    with pytest.raises(retirement.InUse, match="is under way"):
        retirement.retire(QWEN)
    assert not TabbyModel.objects.exclude(retired_at=None).exists()


def test_only_managers_retire(catalog: dict[str, TabbyModel], make_user: MakeUser) -> None:
    switcher = client_with(make_user, "sam", "switch", "unload", "view_tabbymodel")
    for page in ("retire", "restore"):
        assert switcher.post(f"{MODELS}{catalog[QWEN].pk}/{page}/").status_code == 403
    assert "Retire…" not in shown(switcher, f"{MODELS}{catalog[QWEN].pk}/change/")
    manager = client_with(make_user, "mara", "manage")
    assert manager.get(f"{MODELS}{catalog[QWEN].pk}/restore/").status_code == 405


def test_a_document_of_what_is_set_up_has_it(catalog: dict[str, TabbyModel]) -> None:
    retirement.retire(QWEN)
    document = exporting.written()
    retirement.restore(QWEN)
    made = importing.bring_in(read(document.encode()), None, dry_run=False)
    assert [(each.place, each.after) for each in made] == [(f'models["{QWEN}"].retired', True)]
    assert exporting.written() == document
    loaded = {"gantry_setup": 1, "models": {LLAMA: {"retired": True}}}
    with pytest.raises(SetupRefused, match=r"\.retired: .* is loaded"):
        importing.bring_in(read(json.dumps(loaded).encode()), None, dry_run=False)
