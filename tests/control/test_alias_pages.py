"""Aliases of models in the admin site: list, form, history, and the way to retire one."""

from __future__ import annotations

from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from models_admin.aliases import changes
from models_admin.aliases.changes import Wanted
from models_admin.models import Alias, TabbyModel

PAGE = "/admin/models_admin/alias/"
Catalog = dict[str, TabbyModel]
FORM: dict[str, Any] = {"name": "coder", "model": QWEN, "system_prompt": "", "everybody": "on"}


def html(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def errors(client: Client, **more: Any) -> dict[str, list[str]]:
    response = client.post(f"{PAGE}add/", {**FORM, **more})
    assert response.status_code == 200
    assert not Alias.objects.exists()
    return dict(response.context["adminform"].form.errors)


def test_an_alias_is_made_changed_and_has_a_history(admin_client: Client, catalog: Catalog) -> None:
    writers = Group.objects.create(name="writers")
    more = {"system_prompt": "Be brief. ", "temperature": "0.2", "max_tokens": "300", "top_p": ""}
    given = {**FORM, **more, "everybody": "", "groups": [str(writers.pk)]}
    assert admin_client.post(f"{PAGE}add/", given).status_code == 302
    row = Alias.objects.get()
    assert (row.name, row.model, row.system_prompt) == ("coder", QWEN, "Be brief. ")
    assert row.sampling == {"temperature": 0.2, "max_tokens": 300}
    assert (row.everybody, [each.name for each in row.groups.all()]) == (False, ["writers"])
    listed = html(admin_client)
    assert "Temperature 0.2, Longest reply 300, a system prompt" in listed
    assert "writers" in listed

    page = html(admin_client, f"{PAGE}{row.pk}/change/")
    assert f"made, for {QWEN}, by admin" in page
    changed = {**given, "name": "other", "model": "", "temperature": ""}
    assert admin_client.post(f"{PAGE}{row.pk}/change/", changed).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.model, row.sampling) == ("coder", "", {"max_tokens": 300})
    assert f"from {QWEN} to whatever is loaded, by admin" in html(admin_client, f"{PAGE}{row.pk}/change/")
    assert "Stands for" in LogEntry.objects.latest("pk").get_change_message()


def test_what_is_wrong_stands_beside_its_field(admin_client: Client, catalog: Catalog) -> None:
    assert "name" in errors(admin_client, name="a b")
    assert "is the name of a model" in errors(admin_client, name=LLAMA.upper())["name"][0]
    assert "temperature" in errors(admin_client, temperature="6")
    assert "top_k" in errors(admin_client, top_k="1.5")
    assert "model" in errors(admin_client, model="nothing")
    assert "system_prompt" in errors(admin_client, system_prompt="x" * 20_001)
    changes.make("coder", Wanted(), None)
    response = admin_client.post(f"{PAGE}add/", {**FORM, "name": "CODER"})
    assert "There is an alias" in response.context["adminform"].form.errors["name"][0]


def test_what_is_not_loaded_leads_to_the_switch(admin_client: Client, catalog: Catalog) -> None:
    row = changes.make("coder", Wanted(model=QWEN), None)
    changes.make("usual", Wanted(model=LLAMA), None)
    changes.make("team", Wanted(), None)
    switch = f"/admin/models_admin/tabbymodel/{catalog[QWEN].pk}/switch/"
    for page in (html(admin_client), html(admin_client, f"{PAGE}{row.pk}/change/")):
        assert "not loaded" in page
        assert switch in page
    assert html(admin_client).count("not loaded") == 1
    assert f"✓ {LLAMA}" in html(admin_client)
    assert "Switch to it" not in html(admin_client, f"{PAGE}{changes.find('usual').pk}/change/")


def test_a_model_that_has_come_with_the_name_of_an_alias_is_spoken_of(
    admin_client: Client, catalog: Catalog
) -> None:
    changes.make("coder", Wanted(model=QWEN), None)
    assert "this name, too" not in html(admin_client)
    TabbyModel.objects.create(name="Coder")
    assert html(admin_client).count("this name, too") == 1


def test_a_model_that_has_gone_can_be_kept(admin_client: Client, catalog: Catalog) -> None:
    row = changes.make("coder", Wanted(model=QWEN), None)
    catalog[QWEN].delete()
    page = f"{PAGE}{row.pk}/change/"
    assert "(gone, or retired)" in html(admin_client, page)
    assert admin_client.post(page, {**FORM, "system_prompt": "x"}).status_code == 302
    row.refresh_from_db()
    assert (row.model, row.system_prompt) == (QWEN, "x")


def test_one_is_retired_and_brought_back(admin_client: Client, catalog: Catalog) -> None:
    row = changes.make("coder", Wanted(model=QWEN), None)
    changes.make("team", Wanted(), None)
    assert "team" in html(admin_client, f"{PAGE}{row.pk}/retire/")
    assert admin_client.post(f"{PAGE}{row.pk}/retire/", {"successor": "nothing"}).status_code == 200
    assert admin_client.post(f"{PAGE}{row.pk}/retire/", {"successor": "team"}).status_code == 302
    row.refresh_from_db()
    assert row.retired_at
    assert row.successor == "team"
    page = html(admin_client, f"{PAGE}{row.pk}/change/")
    assert "retired, with team instead, by admin" in page
    assert "Bring back" in page
    assert admin_client.get(f"{PAGE}{row.pk}/restore/").status_code == 405
    assert admin_client.post(f"{PAGE}{row.pk}/restore/").status_code == 302
    row.refresh_from_db()
    assert row.retired_at is None
    assert "Bring back" not in html(admin_client, f"{PAGE}{row.pk}/change/")


def test_whoever_sees_the_history_may_look(viewer: Client, make_user: MakeUser, catalog: Catalog) -> None:
    row = changes.make("coder", Wanted(model=QWEN, system_prompt="Be brief."), None)
    assert "coder" in html(viewer)
    page = html(viewer, f"{PAGE}{row.pk}/change/")
    assert "Be brief." in page
    assert "Retire…" not in page
    assert "Switch to it" not in page
    for path in ("add/", f"{row.pk}/change/", f"{row.pk}/retire/", f"{row.pk}/restore/"):
        assert viewer.post(f"{PAGE}{path}", FORM).status_code == 403
    row.refresh_from_db()
    assert row.retired_at is None
    client = Client()
    client.force_login(make_user("somebody"))
    assert client.get(PAGE).status_code == 403
    client.force_login(make_user("manager", "manage"))
    assert client.get(f"{PAGE}add/").status_code == 200
    assert client.get(f"{PAGE}{row.pk}/delete/").status_code == 403


def test_who_did_it_may_be_gone(admin_client: Client, catalog: Catalog) -> None:
    bob = User.objects.create_user("bob")
    row = changes.make("coder", Wanted(model=QWEN), bob.pk)
    bob.delete()
    assert f"made, for {QWEN}" in html(admin_client, f"{PAGE}{row.pk}/change/")


def test_a_name_that_somebody_took_meanwhile_is_told(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = changes.make

    def second(name: str, wanted: Wanted, by: int | None) -> Alias:
        original(name, wanted, None)  # the other one's
        return original(name, wanted, by)

    monkeypatch.setattr(changes, "make", second)
    response = admin_client.post(f"{PAGE}add/", FORM, follow=True)
    assert response.redirect_chain == [(f"{PAGE}add/", 302)]
    assert "There is an alias “coder” already" in " ".join(response.content.decode().split())
