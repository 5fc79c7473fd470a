"""What the admin site's pages say about load options, times, and lists with nothing in them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from control_rows import QWEN
from django.contrib.admin.models import LogEntry
from django.test import Client

from models_admin.models import Server, TabbyModel

SITE = "/admin/models_admin/"
Catalog = dict[str, TabbyModel]


def html(client: Client, path: str) -> str:
    return str(client.get(path).content.decode())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cache_size", "1", "a whole number from 256 to 100,000,000, a multiple of 256"),
        ("rope_alpha", "5000", "“auto” or a number from 0.01 to 1,000"),
        ("gpu_split", "x", "a list of numbers, one for each GPU, such as 20, 22"),
        ("gpu_split", "-1", "a list of numbers, one for each GPU, such as 20, 22"),
        ("autosplit_reserve", "x", "a list of numbers, one for each GPU, such as 96, 0"),
        ("autosplit_reserve", "-1", "a list of numbers, one for each GPU, such as 96, 0"),
    ],
)
def test_what_is_wrong_with_an_option_can_be_read(
    admin_client: Client, catalog: Catalog, field: str, value: str, words: str
) -> None:
    TabbyModel.objects.filter(name=QWEN).update(load_options={"rope_alpha": 2})  # or it is not offered
    answer = admin_client.post(f"{SITE}tabbymodel/{catalog[QWEN].pk}/change/", {field: value})
    assert f"This must be {words}." in answer.content.decode()


def test_the_models_form_says_what_its_fields_are_for(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client, f"{SITE}tabbymodel/{catalog[QWEN].pk}/change/")
    for name in ("display_name", "notes", "cache_mode"):
        assert f'id="id_{name}_helptext"' in page
    assert "Shown to everybody in the chat's list of models." in page


def test_times_are_written_in_one_way(admin_client: Client, catalog: Catalog) -> None:
    when = datetime(2026, 11, 25, 20, 48, tzinfo=UTC)
    TabbyModel.objects.update(first_seen=when, last_seen=when)
    page = f"{SITE}tabbymodel/{catalog[QWEN].pk}"
    assert html(admin_client, f"{page}/change/").count("25 Nov 2026, 20:48") == 2
    admin_client.post(f"{page}/change/", {"display_name": "Coder"})
    LogEntry.objects.update(action_time=when)
    history = html(admin_client, f"{page}/history/")
    assert "25 Nov 2026, 20:48" in history
    assert "p.m." not in history


def test_the_banner_says_the_context_once_and_leaves_room_between_its_facts(
    admin_client: Client, catalog: Catalog
) -> None:
    Server.objects.update(options={"max_seq_len": 8192, "cache_mode": "Q8"})
    banner = html(admin_client, f"{SITE}tabbymodel/").partition('id="gantry-banner"')[2].partition("</p>")[0]
    assert "<span>context 8,192 tokens</span> <span>cache_mode Q8</span>" in banner
    assert "max_seq_len" not in banner
    Server.objects.update(parameters={})
    page = html(admin_client, f"{SITE}tabbymodel/")
    assert "<span>cache_mode Q8</span> <span>max_seq_len 8192</span>" in page


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("rule", "A rule loads or unloads a model by itself"),
        ("modelrequest", "No request is open."),
        ("token", "A token lets a script use the HTTP API in your name"),
        ("switch", "Each change of the loaded model stands here"),
    ],
)
def test_an_empty_list_says_what_it_is_for(admin_client: Client, page: str, words: str) -> None:
    assert words in html(admin_client, f"{SITE}{page}/")


@pytest.mark.parametrize(
    "query",
    [
        "switch/?q=nothing",
        "switch/?state__exact=failed",
        "tabbymodel/?q=nothing",
        "token/?q=nothing",
        "modelrequest/?q=nothing",
        "modelrequest/?state=declined",
    ],
)
def test_a_search_that_finds_nothing_says_so(admin_client: Client, catalog: Catalog, query: str) -> None:
    page = html(admin_client, f"{SITE}{query}")
    assert "Nothing fits this search." in page
    assert "stands here" not in page


def test_a_list_with_rows_says_neither(admin_client: Client, catalog: Catalog) -> None:
    assert "gantry-empty" not in html(admin_client, f"{SITE}tabbymodel/")
