"""The Servers page: a card for each of several, and a button that takes it out of service or puts it back."""

from __future__ import annotations

import re

import pytest
from control_rows import LLAMA, QWEN, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from models_admin.models import Lease, Server, State
from models_admin.servers import state_row
from models_admin.switching import gate
from models_admin.tabby.errors import Unreachable

PAGE = "/admin/models_admin/server/"
Two = tuple[int, int]


def html(client: Client, path: str = PAGE) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def card(page: str, server: int) -> str:
    found = re.search(rf'<section class="([^"]*)" id="gantry-server-{server}".*?</section>', page)
    assert found
    return found[0]


def out() -> list[str]:
    return list(
        Server.objects.exclude(out_of_service_since=None).order_by("pk").values_list("name", flat=True)
    )


def test_each_has_a_card_with_what_it_runs_and_does(admin_client: Client, two: Two) -> None:
    gate.lease(two[0], "web", ["reply 1"])
    running(State.LOADING, percent=40)
    state_row.set_trouble(two[1], Unreachable("It cannot be reached"))
    page = html(admin_client)
    first, second = card(page, two[0]), card(page, two[1])
    assert "gantry-busy" in first
    assert "http://127.0.0.1:9<" in first
    assert f"loading {QWEN}" in first
    assert "1 reply in flight" in first
    assert f"Step 2: Loading {QWEN}… 40%" in first
    assert 'value="40"' in first
    assert ("gantry-bad" in second, "It cannot be reached." in second) == (True, True)
    assert "sesame" not in page


def test_a_card_says_how_fast_its_server_writes_unless_redis_is_away(
    admin_client: Client, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_admin.counters.paces", lambda: {two[1]: 1052.44})
    page = html(admin_client)
    assert "<span data-pace>0 tokens/s</span>" in card(page, two[0])
    assert "<span data-pace>1,052.4 tokens/s</span>" in card(page, two[1])
    monkeypatch.setattr("models_admin.counters.paces", lambda: None)
    assert "tokens/s" not in html(admin_client)


def test_what_failed_last_is_told_as_what_is_over(admin_client: Client, two: Two) -> None:
    running(State.FAILED, finished_at=timezone.now(), error="It does not fit.", result=LLAMA)
    first = card(html(admin_client), two[0])
    assert "The last switch failed: It does not fit." in first
    assert "gantry-good" in first


def test_one_is_taken_out_and_put_back(admin_client: Client, two: Two) -> None:
    gate.lease(two[1], "web", ["reply 1"])
    page = html(admin_client)
    assert f'action="{PAGE}gpu2/out/"' in card(page, two[1])
    answer = admin_client.post(f"{PAGE}gpu2/out/", {"let_go": "on"}, follow=True)
    assert "Out of service: gpu2 is given no replies" in answer.content.decode()
    assert out() == ["gpu2"]
    assert Lease.objects.exclude(revoked_at=None).exists()
    page = html(admin_client)
    assert f'action="{PAGE}gpu2/in/"' in card(page, two[1])
    assert "out of service since" in card(page, two[1])
    last = card(page, two[0])
    assert "gpu1 is the last server in service: nobody would get a reply without it." in last
    assert 'name="force"' in last
    answer = admin_client.post(f"{PAGE}gpu1/out/", follow=True)
    assert "Nothing was changed: gpu1 is the last server" in answer.content.decode()
    admin_client.post(f"{PAGE}gpu1/out/", {"force": "on"})
    assert out() == ["gpu1", "gpu2"]
    admin_client.post(f"{PAGE}gpu2/in/")
    assert out() == ["gpu1"]
    entry = LogEntry.objects.order_by("pk").first()
    assert entry is not None
    assert admin_client.get(entry.get_admin_url()).headers["Location"] == PAGE, "which the log links"


def test_who_may_not_switch_sees_no_buttons_and_who_may_see_nothing_no_page(
    viewer: Client, make_user: MakeUser, two: Two
) -> None:
    page = html(viewer)
    assert '<form method="post"' not in page.partition('id="gantry-cards"')[2]
    assert PAGE in html(viewer, "/admin/")
    assert viewer.post(f"{PAGE}gpu2/out/").status_code == 403
    nobody = Client()
    nobody.force_login(make_user("nobody"))
    assert nobody.get(PAGE).status_code == 403
    assert PAGE not in html(nobody, "/admin/")
    assert out() == []


def test_what_is_no_server_and_no_post_changes_nothing(admin_client: Client, two: Two) -> None:
    assert admin_client.post(f"{PAGE}gpu9/out/").status_code == 404
    assert admin_client.get(f"{PAGE}gpu2/out/").status_code == 405
    assert out() == []


def test_with_one_server_there_is_no_such_page(admin_client: Client, catalog: object) -> None:
    assert admin_client.get(PAGE).status_code == 404
    assert PAGE not in html(admin_client, "/admin/")
