"""The Models page and its confirmations where there are several servers: who has and runs a model, what a switch means."""

from __future__ import annotations

import re

import pytest
from control_rows import LLAMA, MISTRAL, QWEN
from django.test import Client
from django.utils import timezone

from models_admin.models import Presence, Server, Source, Switch, TabbyModel
from models_admin.servers import state_row
from models_admin.switching import service, transitions
from models_admin.tabby.errors import Unreachable

PAGE = "/admin/models_admin/tabbymodel/"
Catalog = dict[str, TabbyModel]
Two = tuple[int, int]


def html(client: Client, path: str = PAGE) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def row(page: str, name: str) -> str:
    """A model's row of the table."""
    return next(part for part in page.split("<tr") if f'gantry-name">{name}<' in part).split("</tr>")[0]


def boxes(page: str) -> dict[str, tuple[bool, str]]:
    """The servers that a confirmation offers: whether each is ticked, and what is said of it."""
    found = re.findall(r'name="server" value="([^"]+)"( checked)?> \S+ <span[^>]*>([^<]*)<', page)
    return {name: (bool(checked), note) for name, checked, note in found}


def runs(server: int, model: str) -> None:
    Server.objects.filter(pk=server).update(model=model)


def test_each_model_is_shown_with_the_servers_that_have_and_run_it(
    admin_client: Client, catalog: Catalog, two: Two
) -> None:
    runs(two[1], QWEN)
    Presence.objects.filter(server=two[0], model=MISTRAL).update(vanished_at=timezone.now())
    page = html(admin_client)
    where = '<span class="gantry-where">{}</span><span class="gantry-where">{}</span>'
    assert where.format("✓ gpu1", "gpu2") in row(page, LLAMA)
    assert where.format("gpu1", "✓ gpu2") in row(page, QWEN)
    assert "gpu1" not in row(page, MISTRAL)
    assert ("✓ Active" in row(page, LLAMA), "✓ Loaded" in row(page, QWEN)) == (True, True)
    for name in (LLAMA, QWEN):
        assert (">Switch<" in row(page, name), f"unload/?model={name}" in row(page, name)) == (True, True)
    assert ">Unload<" not in row(page, MISTRAL)
    service.take_out(two[0])
    page = html(admin_client)
    assert ("✓ Loaded" in row(page, LLAMA), "✓ Active" in row(page, QWEN)) == (True, True), "gpu2 answers"
    runs(two[1], LLAMA)
    assert ">Switch<" not in row(html(admin_client), LLAMA), "it is everywhere"


def test_with_one_server_there_is_nothing_of_it(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client)
    assert ("gantry-where" in page, "gantry-team" in page, "unload/?model=" in page) == (False, False, False)
    confirmation = html(admin_client, f"{PAGE}{catalog[QWEN].pk}/switch/")
    assert "stay open; messages sent meanwhile wait, and the new model answers them" in confirmation
    assert ("for each server" in confirmation, boxes(confirmation)) == (False, {})


@pytest.mark.parametrize("lost", [False, True])
def test_the_confirmation_says_that_the_others_answer_where_they_do(
    admin_client: Client, catalog: Catalog, two: Two, lost: bool
) -> None:
    if lost:
        state_row.set_trouble(two[1], Unreachable("It cannot be reached"))
    page = html(admin_client, f"{PAGE}{catalog[QWEN].pk}/switch/")
    assert ("the others answer meanwhile" in page) is not lost
    assert ("messages sent meanwhile wait" in page) is lost
    assert "s for each server (usual for its size)" in page
    assert boxes(page) == {
        "gpu1": (True, LLAMA),
        "gpu2": (False, "cannot be reached") if lost else (True, LLAMA),
    }


def test_the_boxes_propose_the_servers_on_which_it_makes_sense(
    admin_client: Client, catalog: Catalog, two: Two
) -> None:
    runs(two[1], QWEN)
    qwen = f"{PAGE}{catalog[QWEN].pk}/switch/"
    assert boxes(html(admin_client, qwen)) == {"gpu1": (True, LLAMA), "gpu2": (False, QWEN)}
    assert f"<span>{LLAMA}, {QWEN}</span>" in html(admin_client, qwen)
    assert boxes(html(admin_client, f"{PAGE}unload/?model={QWEN}")) == {
        "gpu1": (False, LLAMA),
        "gpu2": (True, QWEN),
    }
    assert [ticked for ticked, _ in boxes(html(admin_client, f"{PAGE}unload/")).values()] == [True, True]
    service.take_out(two[0])
    Presence.objects.filter(server=two[0], model=MISTRAL).update(vanished_at=timezone.now())
    assert boxes(html(admin_client, f"{PAGE}{catalog[MISTRAL].pk}/switch/")) == {
        "gpu1": (False, f"does not have it; {LLAMA}, out of service"),
        "gpu2": (True, QWEN),
    }
    service.put_back(two[0])
    runs(two[0], QWEN)
    assert "is loaded already on all servers that can be asked." in html(admin_client, qwen)


def test_at_least_one_server_is_chosen(admin_client: Client, catalog: Catalog, two: Two) -> None:
    qwen = f"{PAGE}{catalog[QWEN].pk}/switch/"
    answer = admin_client.post(qwen, follow=True)
    assert "choose at least one server" in answer.content.decode()
    assert not Switch.objects.exists()
    admin_client.post(qwen, {"server": ["gpu2"]})
    assert Switch.objects.get().server_id == two[1]


def test_a_switch_of_another_server_is_under_way_for_the_rows_too(
    admin_client: Client, catalog: Catalog, two: Two
) -> None:
    transitions.request(two[1], QWEN, source=Source.API)
    page = html(admin_client)
    assert "Next" in row(page, QWEN)
    assert 'aria-disabled="true">Switch<' in row(page, MISTRAL)
