"""Checks in the admin site: list, form and its bounds, what came of runs, and who may what."""

from __future__ import annotations

from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from models_admin.models import (
    Check,
    CheckResult,
    CheckRun,
    RunKind,
    Source,
    State,
    Switch,
    TabbyModel,
    Verdict,
)

PAGE = "/admin/models_admin/check/"
RUNS = "/admin/models_admin/checkrun/"
Catalog = dict[str, TabbyModel]
FORM: dict[str, Any] = {
    "name": "Paris",
    "enabled": "on",
    "prompt": "What is the capital of France?",
    "answers": "on",
}


@pytest.fixture(autouse=True)
def _none_yet(db: None) -> None:
    Check.objects.all().delete()


def html(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_a_check_is_made_changed_and_deleted(admin_client: Client, catalog: Catalog) -> None:
    picture = SimpleUploadedFile("dot.png", b"\x89PNG\r\n", "image/png")
    given = {**FORM, "model": QWEN, "contains": "Paris", "sampling": '{"max_tokens": 50}', "picture": picture}
    assert admin_client.post(f"{PAGE}add/", {**given, "json_schema": '{"type": "string"}'}).status_code == 302
    row = Check.objects.get()
    assert (row.model, row.contains, row.sampling) == (QWEN, "Paris", {"max_tokens": 50})
    assert (row.json_schema, row.before_serving) == ({"type": "string"}, False)
    assert row.image == "data:image/png;base64,iVBORw0K"
    assert "only when asked for" in html(admin_client)

    assert (
        admin_client.post(
            f"{PAGE}{row.pk}/change/", {**FORM, "before_serving": "on", "sampling": ""}
        ).status_code
        == 302
    )
    row.refresh_from_db()
    assert (row.model, row.json_schema, row.sampling, row.before_serving) == ("", None, {}, True)
    assert row.image, "it stays where no other is given"
    assert admin_client.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Check.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("matches", "(((a{1000}){1000}){1000})", "no regular expression"),
        ("json_schema", '{"$ref": "http://127.0.0.1/x"}', "written out"),
        ("json_schema", '{"type": "nonsense"}', "no JSON schema"),
        ("sampling", '{"max_tokens": 100000}', "4,096 tokens"),
        ("tools", '[{"type": "function"}]', "name, description and parameters"),
        ("contains", "x" * 2001, "2,000 characters"),
        ("prompt", "x" * 20_001, "at most 20000 characters"),
        ("tag", "coding", "for a model or for a tag"),
        ("model", "nowhere", "not one of the available choices"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    admin_client: Client, catalog: Catalog, field: str, value: str, words: str
) -> None:
    response = admin_client.post(f"{PAGE}add/", {**FORM, "model": LLAMA, field: value})
    assert response.status_code == 200
    assert words in " ".join(response.context["adminform"].form.errors[field])
    assert not Check.objects.exists()


def test_there_is_a_bound_on_how_many_there_are(admin_client: Client, catalog: Catalog) -> None:
    Check.objects.bulk_create(Check(name=str(number), prompt="?") for number in range(50))
    assert "There may be 50 checks" in admin_client.post(f"{PAGE}add/", FORM).content.decode()
    first = Check.objects.first()
    assert first is not None
    assert admin_client.post(f"{PAGE}{first.pk}/change/", FORM).status_code == 302


def test_what_came_of_a_run_stands_on_its_page_and_on_that_of_the_switch(
    admin_client: Client, catalog: Catalog
) -> None:
    switch = Switch.objects.create(
        server_id=1, target=QWEN, source=Source.ADMIN, state=State.FAILED, drain_seconds=0, result=LLAMA,
        finished_at=timezone.now(),
    )  # fmt: skip
    run = CheckRun.objects.create(
        server_id=1, switch=switch, model=QWEN, kind=RunKind.SERVING, verdict=Verdict.FAILED
    )
    CheckResult.objects.create(
        run=run, name="Paris", verdict=Verdict.FAILED, why="it does not contain “Paris”", asked="Where?",
        answer="<b>Lyon</b>", first_token=0.25, rate=41.4,
    )  # fmt: skip
    assert QWEN in html(admin_client, RUNS)
    for page in (f"{RUNS}{run.pk}/change/", f"/admin/models_admin/switch/{switch.pk}/change/"):
        shown = html(admin_client, page)
        assert "it does not contain “Paris”" in shown
        assert "&lt;b&gt;Lyon&lt;/b&gt;" in shown
        assert "first token 0.25 s, 41 tokens/s" in shown


def test_the_confirmation_offers_to_serve_it_anyway(admin_client: Client, catalog: Catalog) -> None:
    Check.objects.create(name="One", prompt="?")
    page = f"/admin/models_admin/tabbymodel/{catalog[QWEN].pk}/switch/"
    assert "it must pass 1 check before anybody is served" in html(admin_client, page)
    assert admin_client.post(page, {"skip_checks": "on"}).status_code == 302
    assert Switch.objects.get().skip_checks


def test_who_may_only_look_sees_them_and_changes_nothing(
    client: Client, catalog: Catalog, make_user: MakeUser
) -> None:
    row = Check.objects.create(name="One", prompt="?")
    client.force_login(make_user("looker", "view_tabbymodel", is_staff=True))
    assert "One" in html(client)
    assert "Run all now" not in html(client)
    assert html(client, f"{PAGE}{row.pk}/change/")
    assert client.get(f"{PAGE}add/").status_code == 403
    assert client.post(f"{PAGE}run/").status_code == 403
    client.force_login(make_user("manager", "manage", is_staff=True))
    assert f"Run all now on {LLAMA}" in html(client)
    assert client.get(f"{PAGE}run/").status_code == 405
    assert client.post(f"{PAGE}run/").status_code == 302
    client.force_login(make_user("stranger", is_staff=True))
    assert client.get(PAGE).status_code == 403
