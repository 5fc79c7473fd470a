"""The admin pages on which a model is added, and on which downloads are seen and cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from control_rows import LLAMA, MakeUser
from django.contrib.admin.models import LogEntry
from django.test import Client

from models_admin.adding import handover
from models_admin.models import DownloadState, ModelDownload, Server, Source, TabbyModel

PAGE = "/admin/models_admin/modeldownload/"
MODELS = "/admin/models_admin/tabbymodel/"
REPOSITORY = "turboderp/Qwen3-8B-exl3"
Catalog = dict[str, TabbyModel]


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def download(**fields: Any) -> ModelDownload:
    Server.objects.get_or_create(pk=1)
    columns = {"server_id": 1, "repository": REPOSITORY, "folder": "Qwen3-8B", "source": Source.API}
    return ModelDownload.objects.create(**{**columns, **fields})


def test_a_model_is_asked_for(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f'href="{PAGE}add/"' in html(admin_client, MODELS)
    assert 'autocomplete="off"' in html(admin_client, f"{PAGE}add/")
    kept: dict[int, str] = {}
    monkeypatch.setattr(handover, "put", kept.__setitem__)
    form = {
        "repository": REPOSITORY,
        "revision": "4.0bpw",
        "include": "*.json, *.safetensors",
        "token": "hf_secret",
    }
    assert admin_client.post(f"{PAGE}add/", form).status_code == 302
    row = ModelDownload.objects.get()
    assert (row.folder, row.revision, row.include) == ("Qwen3-8B-exl3", "4.0bpw", ["*.json", "*.safetensors"])
    assert (row.source, row.with_token, kept) == (Source.ADMIN, True, {row.pk: "hf_secret"})
    assert "hf_secret" not in str(list(LogEntry.objects.values_list("change_message", "object_repr")))
    assert "Waiting for a worker" in html(admin_client, PAGE)
    assert "Waiting for a worker" in html(admin_client, MODELS)


def test_what_cannot_be_is_told_beside_the_form_and_the_token_is_not_sent_back(
    admin_client: Client, catalog: Catalog
) -> None:
    form = {"repository": REPOSITORY, "folder": "../x", "token": "hf_secret"}
    page = admin_client.post(f"{PAGE}add/", form).content.decode()
    assert "“../x” cannot be the name of a folder" in page
    assert f'value="{REPOSITORY}"' in page
    assert "hf_secret" not in page
    page = admin_client.post(f"{PAGE}add/", {"repository": REPOSITORY, "folder": LLAMA}).content.decode()
    assert f"There is a model {LLAMA} already" in page
    assert not ModelDownload.objects.exists()


def test_without_redis_a_token_cannot_be_handed_over(
    admin_client: Client, catalog: Catalog, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    page = admin_client.post(f"{PAGE}add/", {"repository": REPOSITORY, "token": "hf_x"}).content.decode()
    assert "Redis, which hands the token to the worker, does not answer" in page
    assert not ModelDownload.objects.exists()


def test_progress_is_shown_in_bytes(admin_client: Client, catalog: Catalog) -> None:
    giga = 1024**3
    download(
        state=DownloadState.DOWNLOADING, owner="x", bytes_done=giga, bytes_total=4 * giga, bytes_per_second=giga / 60
    )  # fmt: skip
    page = html(admin_client, PAGE)
    assert "Downloading: 1.0 GB of 4.0 GB (25%), 17.1 MB a second, 3 min 0 s left" in page
    assert f'<progress max="{4 * giga}" value="{giga}"' in page
    assert "downloads.js" in page


def test_one_that_runs_can_be_cancelled_and_one_that_failed_says_why(
    admin_client: Client, catalog: Catalog
) -> None:
    running = download()
    failed = download(folder="b", state=DownloadState.FAILED, error="It is gated.", advice="Ask for access.")
    page = html(admin_client, PAGE)
    assert f'formaction="{PAGE}{running.pk}/cancel/"' in page
    assert f'formaction="{PAGE}{failed.pk}/cancel/"' not in page
    assert "It is gated." in page
    assert "Ask for access." in html(admin_client, f"{PAGE}{failed.pk}/change/")
    assert admin_client.get(f"{PAGE}{running.pk}/cancel/").status_code == 405
    assert admin_client.post(f"{PAGE}{running.pk}/cancel/").status_code == 302
    running.refresh_from_db()
    assert (running.state, running.error) == (DownloadState.CANCELLED, "Cancelled by admin.")


def test_who_may_not_manage_sees_and_changes_nothing(catalog: Catalog, make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user("operator", "switch"))
    row = download()
    page = html(client, PAGE)
    assert "Qwen3-8B" in page
    assert "Cancel Qwen3-8B" not in page
    assert f'href="{PAGE}add/"' not in html(client, MODELS)
    assert client.post(f"{PAGE}add/", {"repository": REPOSITORY}).status_code == 403
    assert client.post(f"{PAGE}{row.pk}/cancel/").status_code == 403
    body = {"repository": "a/b"}
    assert client.post("/api/admin/models/add", body, "application/json").status_code == 403
    assert client.get(f"/api/admin/models/add/{row.pk}").status_code == 200
    assert client.delete(f"/api/admin/models/add/{row.pk}").status_code == 403
