"""What is known of models' files on the admin pages, and how a switch is asked for in spite of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN
from django.core.management import call_command
from django.test import Client
from support.model_folders import EXL3, exl3, weights, whole

from models_admin.model_files import looks
from models_admin.models import Switch, TabbyModel

Catalog = dict[str, TabbyModel]
PAGE = "/admin/models_admin/tabbymodel/"


@pytest.fixture
def looked_at(catalog: Catalog, tmp_path: Path, settings: Any) -> Catalog:
    """Llama is quantized and has a tabby_config.yml, Qwen lacks its tokenizer, Mistral has no folder."""
    settings.MODELS_DIR = str(tmp_path)
    whole(tmp_path / LLAMA, **EXL3)
    weights(tmp_path / LLAMA / "model.safetensors", exl3())
    (tmp_path / LLAMA / "tabby_config.yml").write_text("model:\n  cache_mode: <b>Q4</b>\n")
    whole(tmp_path / QWEN)
    (tmp_path / QWEN / "tokenizer.json").unlink()
    looks.refresh(60)
    return catalog


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_shows_size_and_format_and_what_cannot_be_loaded(viewer: Client, looked_at: Catalog) -> None:
    page = html(viewer, PAGE)
    assert ">exl3 4 bpw</span>" in page
    assert page.count(">cannot be loaded</span>") == 1
    assert 'title="tokenizer.json is missing. Download the model again."' in page


def test_a_models_own_page_shows_all_that_is_found(admin_client: Client, looked_at: Catalog) -> None:
    page = html(admin_client, f"{PAGE}{looked_at[LLAMA].pk}/change/")
    assert "cache_mode: &lt;b&gt;Q4&lt;/b&gt;" in page
    assert "Made for a context of 8,192 tokens" in page
    assert "tokenizer.json is missing" not in page.lower()
    assert "tokenizer.json is missing" in html(admin_client, f"{PAGE}{looked_at[QWEN].pk}/change/").lower()
    assert f"MODELS_DIR has no folder {MISTRAL}" in html(
        admin_client, f"{PAGE}{looked_at[MISTRAL].pk}/change/"
    )


def test_without_models_dir_its_page_says_how_to_have_them_looked_at(
    admin_client: Client, catalog: Catalog
) -> None:
    assert "With MODELS_DIR set, they are looked at." in html(
        admin_client, f"{PAGE}{catalog[QWEN].pk}/change/"
    )
    assert 'name="force"' not in html(admin_client, f"{PAGE}{catalog[QWEN].pk}/switch/")


def test_who_wants_to_switch_is_told_and_may_insist(admin_client: Client, looked_at: Catalog) -> None:
    path = f"{PAGE}{looked_at[QWEN].pk}/switch/"
    page = html(admin_client, path)
    assert "TabbyAPI cannot load it, by its files:" in page
    assert 'name="force"' in page
    assert admin_client.post(path, {"force": "on"}).status_code == 302
    switch = Switch.objects.get()
    assert switch.force
    assert "It was asked for whatever they look like." in html(
        admin_client, f"/admin/models_admin/switch/{switch.pk}/change/"
    )


def test_without_insisting_nothing_is_forced(admin_client: Client, looked_at: Catalog) -> None:
    assert admin_client.post(f"{PAGE}{looked_at[QWEN].pk}/switch/").status_code == 302
    assert not Switch.objects.get().force


def test_api_and_command_can_insist_too(admin_client: Client, looked_at: Catalog) -> None:
    body = {"model_id": QWEN, "force": True}
    asked = admin_client.post(
        "/api/admin/models/switch", body, "application/json", headers={"Prefer": "respond-async"}
    )
    assert (asked.status_code, asked.json()["force"]) == (202, True)
    Switch.objects.all().delete()
    call_command("switch_model", QWEN, "--force", "--no-wait", "--json")
    assert Switch.objects.get().force
