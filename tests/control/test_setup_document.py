"""What is set up as a document: written, brought in whole or not at all, by commands and in the admin site."""

from __future__ import annotations

import html
import json
import re
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from support.servers import SERVER

from models_admin.aliases import changes
from models_admin.aliases.changes import Wanted
from models_admin.api import tokens
from models_admin.models import Alias, AliasChange, Check, Rule, TabbyModel
from models_admin.servers import catalog as catalog_rows
from models_admin.setup import exporting, importing
from models_admin.setup.document import SetupRefused, read

pytestmark = pytest.mark.django_db
PAGE = "/admin/models_admin/tabbymodel/setup/"
RULE = {"trigger": "time", "target": LLAMA, "at": "08:00:00", "name": "Mornings"}


def brought(dry_run: bool = False, **parts: Any) -> list[importing.Change]:
    text = json.dumps({"gantry_setup": 1, **parts})
    return importing.bring_in(read(text.encode()), None, dry_run=dry_run)


def faults(**parts: Any) -> str:
    with pytest.raises(SetupRefused) as refused:
        brought(**parts)
    return str(refused.value)


@pytest.fixture
def _set_up(catalog: dict[str, TabbyModel], make_user: MakeUser) -> None:
    """Something of each kind, and some secrets and people beside it."""
    group = Group.objects.create(name="developers")
    group.permissions.set(Permission.objects.filter(codename__in=["switch", "change_user"]))
    noted = {"display_name": "Coder", "tags": ["code"], "notes": "Écrit\n\x85", "visible": False}
    TabbyModel.objects.filter(name=QWEN).update(**noted, load_options={"max_seq_len": 8192})
    changes.make(
        "coder", Wanted(model=QWEN, sampling={"top_p": 0.9}, groups=["developers"], everybody=False), None
    )
    for name, successor in (("older", "coder"), ("oldest", "coder")):
        changes.retire(changes.make(name, Wanted(), None), successor, None)
    changes.retire(changes.find("coder"), LLAMA, None)  # older's successor is retired itself
    Rule.objects.create(**RULE)
    Rule.objects.create(trigger="idle", idle_minutes=30)
    Check.objects.create(
        name="JSON, please", prompt="Answer with {}.", json_schema={"type": "object"}, enabled=False
    )
    tokens.make(make_user("mara"), "mara's editor", ["chat"])


def forget() -> None:
    for rows in (Alias, Check, Rule, TabbyModel, Group):
        rows.objects.all().delete()


@pytest.mark.usefixtures("_set_up")
def test_a_document_brings_back_all_that_was_set_up_and_twice_is_once() -> None:
    before = exporting.written()
    assert exporting.written() == before
    assert not re.search("mara|gantry_[a-z0-9]{20}", before)
    forget()
    assert exporting.everything()["aliases"] == {}
    made = importing.bring_in(read(before.encode()), None, dry_run=False)
    assert exporting.written() == before
    places = ['models["Qwen2.5-Coder-7B-Instruct-Q5"]', "aliases.coder", "groups.developers", "rules[0]"]
    places.append('checks["JSON, please"]')
    assert set(places) <= {each.place for each in made}
    rows = AliasChange.objects.count()
    assert importing.bring_in(read(before.encode()), None, dry_run=False) == []
    assert AliasChange.objects.count() == rows


def test_what_is_not_named_stays_as_it_is(catalog: dict[str, TabbyModel]) -> None:
    TabbyModel.objects.update(notes="kept", visible=False)
    changes.make("coder", Wanted(model=QWEN, system_prompt="Be brief."), None)
    made = brought(models={QWEN: {"visible": True}}, aliases={"CODER": {"model": LLAMA}})
    assert [(each.place, each.before, each.after) for each in made] == [
        ("aliases.CODER.model", QWEN, LLAMA),
        (f'models["{QWEN}"].visible', False, True),
    ]
    assert set(TabbyModel.objects.values_list("name", "notes", "visible")) >= {
        (QWEN, "kept", True), (LLAMA, "kept", False),
    }  # fmt: skip
    alias = changes.find("coder")
    assert (alias.model, alias.system_prompt) == (LLAMA, "Be brief.")
    assert AliasChange.objects.values_list("event", "before", "after").first() == ("pointed", QWEN, LLAMA)


def test_a_dry_run_lists_the_same_and_changes_nothing(catalog: dict[str, TabbyModel]) -> None:
    before = exporting.written()
    parts: dict[str, Any] = {"models": {LLAMA: {"notes": "good"}}, "rules": [RULE], "groups": {"new": []}}
    listed = brought(dry_run=True, **parts)
    assert exporting.written() == before
    assert brought(**parts) == listed
    assert len(listed) == 3
    assert brought(**parts) == []


def test_notes_on_a_model_that_is_not_there_wait_for_it() -> None:
    brought(models={"Coming-8B": {"notes": "From the old server."}}, aliases={"soon": {"model": "Coming-8B"}})
    row = TabbyModel.objects.get(name="Coming-8B")
    assert not row.present
    assert row.parameters_b == 8
    catalog_rows.write(SERVER, ["Coming-8B"], [])
    row.refresh_from_db()
    assert (row.present, row.notes) == (True, "From the old server.")


def test_a_rule_is_the_same_one_by_all_it_says_else_by_its_name(catalog: dict[str, TabbyModel]) -> None:
    rule = Rule.objects.create(**RULE)
    nameless = {"trigger": "idle", "idle_minutes": 30.0}
    made = brought(rules=[nameless, {**RULE, "at": "09:30:00"}])
    assert [each.place for each in made] == ["rules[0]", "rules[1].at"]
    rule.refresh_from_db()
    assert f"{rule.at}" == "09:30:00"
    assert rule.handled_until is not None  # what has passed does not count
    assert brought(rules=[nameless, {**RULE, "at": "09:30:00"}]) == []
    assert Rule.objects.count() == 2


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"models": {LLAMA: {"notes": 5}}}, f'models["{LLAMA}"].notes: '),
        ({"models": {LLAMA: {"nots": ""}}}, f'models["{LLAMA}"].nots: '),
        ({"models": {LLAMA: {"visible": 1}}}, f'models["{LLAMA}"].visible: '),
        ({"models": {"../up": {}}}, 'models["../up"]: this cannot be'),
        ({"models": {LLAMA: {"load_options": {"cache_mode": "Q9"}}}}, ".load_options: The load option cache_mode"),
        ({"aliases": {"a b": {}}}, 'aliases["a b"]: A name has 1 to 64'),
        ({"aliases": {LLAMA: {}}}, "is the name of a model"),
        ({"aliases": {"a": {"sampling": {"top_p": 3}}}}, "aliases.a.sampling: The sampling option top_p"),
        ({"aliases": {"a": {"groups": ["none"]}}}, "aliases.a.groups: There is no group “none”"),
        ({"aliases": {"a": {}, "A": {}}}, "this alias stands twice"),
        ({"aliases": {"a": {"retired": True, "successor": "a"}}}, "aliases.a.successor: An alias cannot"),
        ({"rules": [{"trigger": "noon"}]}, "rules[0].trigger: "),
        ({"rules": [RULE, {"trigger": "time"}]}, "rules[1]: a rule for a set time needs"),
        ({"rules": [RULE, {**RULE, "name": "", "target": QWEN}]}, "rules[1]: “Mornings” is due at the same"),
        ({"rules": [{**RULE, "days": [8]}]}, "rules[0].days[0]: "),
        ({"checks": {"c": {}}}, "checks.c.prompt: a check needs one"),
        ({"checks": {"c": {"prompt": "Hm", "matches": "(?=a)"}}}, "checks.c.matches: "),
        ({"checks": {"c": {"prompt": "Hm", "language": "xx"}}}, "checks.c.language: "),
        ({"checks": {"c": {"prompt": "Hm", "sampling": {"top_p": 3}}}}, "checks.c.sampling: The sampling option"),
        ({"checks": {f"{number}": {"prompt": "Hm"} for number in range(60)}}, "checks: there may be 50"),
        ({"groups": {"g": ["models_admin.fly"]}}, "groups.g: there is no permission 'models_admin.fly'"),
        ({"stars": 5}, "stars: "),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place_and_nothing_changes(
    catalog: dict[str, TabbyModel], parts: dict[str, Any], words: str
) -> None:
    before = exporting.written()
    good = {"groups": {"fine": []}} if "groups" not in parts else {"models": {QWEN: {"notes": "fine"}}}
    assert words in faults(**good, **parts)
    assert exporting.written() == before


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "This is no JSON"),
        (b"\xff", "This is no JSON"),
        (b"[" * 100_000, "This is no JSON"),
        (b"[]", "gantry_setup: this Gantry reads documents of version 1"),
        (b'{"gantry_setup": 2}', "version 1, not 2"),
        (b'{"gantry_setup": true}', "version 1, not True"),
        (b'{"gantry_setup": 1, "models": {"a": {}, "a": {}}}', '"a" stands twice'),
        (b'{"gantry_setup": 1, "rules": [{"trigger": "idle", "idle_minutes": NaN}]}', "idle_minutes"),
        (b'{"gantry_setup": 1, "models": {"a": {"notes": "\\u0000"}}}', "models.a.notes"),
        (b" " * 20_000_001, "larger than 20,000,000"),
    ],
)
def test_what_is_no_document_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(SetupRefused, match=re.escape(words)):
        read(raw)


# The commands


def run(*words: str) -> tuple[str, str]:
    out, beside = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=beside)
    return out.getvalue(), beside.getvalue()


@pytest.mark.usefixtures("_set_up")
def test_the_commands_write_and_bring_in_the_same_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "setup.json"
    run("export_setup", "--output", str(file))
    out, _ = run("export_setup")
    assert out == file.read_text() == exporting.written()
    assert run("import_setup", str(file)) == ("", "Nothing to change.\n")
    TabbyModel.objects.filter(name=QWEN).update(notes="other")
    out, beside = run("import_setup", str(file), "--dry-run")
    assert (out.count("\n"), beside) == (1, "1 would change.\n")
    assert f'models["{QWEN}"].notes: "other" → ' in out
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(file.read_bytes())))
    told = json.loads(run("import_setup", "-", "--json")[0])
    assert [each["before"] for each in told["changes"]] == ["other"]
    assert exporting.written() == file.read_text()


def test_the_command_ends_with_1_where_it_brings_nothing_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "setup.json"
    with pytest.raises(CommandError, match="cannot be read"):
        run("import_setup", str(file))
    file.write_text('{"gantry_setup": 1, "stars": 5}')
    with pytest.raises(CommandError, match="stars") as refused:
        run("import_setup", str(file))
    assert refused.value.returncode == 1
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("import_setup", str(file), "--json", stdout=out)
    assert "stars" in json.loads(out.getvalue())["errors"][0]
    with pytest.raises(CommandError, match="cannot be written"):
        run("export_setup", "--output", str(tmp_path / "no" / "such.json"))


# The admin site


def client_with(make_user: MakeUser, name: str, *permissions: str) -> Client:
    user = make_user(name)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def upload(client: Client, **parts: Any) -> str:
    text = json.dumps({"gantry_setup": 1, **parts}).encode()
    return client.post(PAGE, {"file": SimpleUploadedFile("setup.json", text)}).content.decode()


def confirmation(page: str) -> dict[str, str]:
    """What the page's form would send."""
    text = re.search(r"<textarea name=\"text\" hidden>\n(.*?)</textarea>", page, re.DOTALL)
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', page)
    assert text
    assert seen
    return {"text": html.unescape(text[1]), "seen": seen[1]}


def test_a_document_is_looked_at_and_then_brought_in(
    catalog: dict[str, TabbyModel], make_user: MakeUser
) -> None:
    client = client_with(make_user, "mara", "manage")
    told = client.get(f"{PAGE}export/")
    assert told.content.decode() == exporting.written()
    assert "attachment" in told.headers["Content-Disposition"]
    page = upload(client, models={LLAMA: {"notes": "<b>good</b>"}})
    assert "&lt;b&gt;good" in page
    assert TabbyModel.objects.get(name=LLAMA).notes == ""
    given = confirmation(page)
    TabbyModel.objects.filter(name=LLAMA).update(notes="meanwhile")
    page = client.post(PAGE, given).content.decode()
    assert "Something has changed meanwhile" in page
    assert TabbyModel.objects.get(name=LLAMA).notes == "meanwhile"
    assert client.post(PAGE, confirmation(page), follow=True).content.count(b"Done: 1 change.") == 1
    assert TabbyModel.objects.get(name=LLAMA).notes == "<b>good</b>"
    assert "Nothing: all that the document says" in upload(client, models={LLAMA: {"notes": "<b>good</b>"}})


def test_a_document_gives_nobody_more_rights(catalog: dict[str, TabbyModel], make_user: MakeUser) -> None:
    client = client_with(make_user, "mara", "manage")
    page = upload(client, groups={"mine": ["auth.change_user"]}, rules=[RULE])
    assert "groups: you may not change these" in page
    assert "rules: you may not change these" in page
    given = {"text": json.dumps({"gantry_setup": 1, "rules": [RULE]}), "seen": "0" * 64}
    client.post(PAGE, given)
    assert not Rule.objects.exists()
    above = client_with(make_user, "root", "manage", "switch", "unload", "add_group", "change_group")
    page = upload(above, groups={"mine": []}, rules=[RULE])
    above.post(PAGE, confirmation(page))
    assert Rule.objects.count() == Group.objects.filter(name="mine").count() == 1


def test_others_see_no_such_page_and_too_much_is_refused(
    catalog: dict[str, TabbyModel], make_user: MakeUser
) -> None:
    switcher = client_with(make_user, "sam", "switch", "unload")
    assert switcher.get(PAGE).status_code == switcher.get(f"{PAGE}export/").status_code == 403
    assert b"setup/" not in switcher.get("/admin/models_admin/tabbymodel/").content
    client = client_with(make_user, "mara", "manage")
    assert b"tabbymodel/setup/" in client.get("/admin/models_admin/tabbymodel/").content
    big = SimpleUploadedFile("setup.json", b" " * 500_001)
    assert b"larger than 500,000 bytes" in client.post(PAGE, {"file": big}).content
    assert b"Choose a file" in client.post(PAGE, {}).content
