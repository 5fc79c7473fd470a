"""Users' requests for a model, as administrators see and decline them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from control_rows import MISTRAL, QWEN, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support.servers import SERVER

from models_admin.model_requests import asking
from models_admin.models import ModelRequest, RequestState, State, TabbyModel

MODELS = "/admin/models_admin/tabbymodel/"
PAGE = "/admin/models_admin/modelrequest/"
SCRIPT = "<script>alert(1)</script>"
FRAGMENT = {"HTTP_X_REQUESTED_WITH": "fragment"}
Catalog = dict[str, TabbyModel]


def html(client: Client, path: str, **headers: str) -> str:
    response = client.get(path, **headers)
    assert response.status_code == 200
    return str(response.content.decode())


def box(client: Client, **headers: str) -> str:
    """The Models page's part about requests."""
    return html(client, MODELS, **headers).partition('id="gantry-requests"')[2].partition("</section>")[0]


def as_user(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann(make_user: MakeUser) -> User:
    return make_user("ann", is_staff=False)


@pytest.fixture
def asked(catalog: Catalog, ann: User) -> ModelRequest:
    made = asking.ask(SERVER, ann.pk, QWEN, f"for my code {SCRIPT}")
    assert made is not None
    return made


def test_the_models_page_shows_who_asks_for_what_and_why(asked: ModelRequest, admin_client: Client) -> None:
    for shown in (box(admin_client), box(admin_client, **FRAGMENT)):
        assert "<strong>ann</strong> asks for" in shown
        assert QWEN in shown
        assert "for my code &lt;script&gt;alert(1)&lt;/script&gt;" in shown
        assert SCRIPT not in shown
        pk = TabbyModel.objects.get(name=QWEN).pk
        assert f'href="{MODELS}{pk}/switch/" data-dialog' in shown
        assert f'href="{PAGE}{asked.pk}/decline/" data-dialog' in shown


def test_without_requests_the_models_page_has_no_box(catalog: Catalog, admin_client: Client) -> None:
    page = html(admin_client, MODELS)
    assert 'id="gantry-requests"' in page  # the place for one
    assert "gantry-requests-title" not in page


def test_the_box_shows_the_first_few_and_links_to_the_rest(
    asked: ModelRequest, admin_client: Client, make_user: MakeUser
) -> None:
    for number in range(6):
        asking.ask(SERVER, make_user(f"user{number}").pk, QWEN)
    shown = box(admin_client)
    assert re.findall(r"<strong>(\w+)</strong> asks", shown) == ["ann", "user0", "user1", "user2", "user3"]
    assert '<span class="gantry-count">7</span>' in shown
    assert "2 more" in shown


def test_no_switch_is_offered_while_one_runs_or_to_a_model_that_is_gone(
    asked: ModelRequest, admin_client: Client
) -> None:
    made = running(State.LOADING, target=MISTRAL)
    assert ">Switch<" not in box(admin_client)
    made.delete()
    assert ">Switch<" in box(admin_client)
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now())
    assert ">Switch<" not in box(admin_client)
    assert ">Decline<" in box(admin_client)


@pytest.mark.parametrize(
    "permissions", [(), ("view_tabbymodel",), ("unload",)], ids=["none", "view", "unload"]
)
def test_who_may_not_switch_or_manage_sees_no_requests(
    asked: ModelRequest, make_user: MakeUser, permissions: tuple[str, ...]
) -> None:
    client = as_user(make_user("nils", *permissions))
    assert "gantry-requests-title" not in html(client, MODELS)
    assert client.get(PAGE).status_code == 403
    for method in (client.get, client.post):
        assert method(f"{PAGE}{asked.pk}/decline/").status_code == 403
    assert ModelRequest.objects.get().state == RequestState.OPEN


def test_who_may_manage_only_can_decline_and_not_switch(asked: ModelRequest, make_user: MakeUser) -> None:
    client = as_user(make_user("mia", "manage"))
    for shown in (box(client), html(client, PAGE)):
        assert ">Decline<" in shown
        assert ">Switch<" not in shown


def test_a_request_is_declined_with_a_few_words(asked: ModelRequest, admin_client: Client, ann: User) -> None:
    page = f"{PAGE}{asked.pk}/decline/"
    form = html(admin_client, page)
    assert "Decline this request?" in form
    assert SCRIPT not in form
    response = admin_client.post(page, {"answer": f"Not today.\n{SCRIPT}"}, follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    assert "Declined. ann is told." in response.content.decode()
    [told] = asking.notices([ann.pk])[ann.pk]
    assert (told["state"], told["answer"]) == ("declined", f"Not today. {SCRIPT}")
    entry = LogEntry.objects.get()
    assert (entry.get_change_message(), entry.user.username) == ("Declined.", "admin")
    ended = html(admin_client, f"{PAGE}?state=declined")
    assert "by admin: “Not today. &lt;script&gt;alert(1)&lt;/script&gt;”" in ended
    assert "ann" not in html(admin_client, PAGE).partition('id="changelist"')[2]


def test_declining_from_the_models_page_leads_back_there(asked: ModelRequest, admin_client: Client) -> None:
    page = f"{PAGE}{asked.pk}/decline/"
    fragment = html(admin_client, page, **FRAGMENT)
    assert "<html" not in fragment
    assert '<input type="hidden" name="models" value="1">' in fragment
    assert admin_client.post(page, {"models": "1", "answer": ""})["Location"] == MODELS


def test_a_request_that_has_ended_is_not_declined(
    asked: ModelRequest, admin_client: Client, ann: User
) -> None:
    asking.withdraw(ann.pk, asked.pk)
    page = f"{PAGE}{asked.pk}/decline/"
    assert "has ended already" in html(admin_client, page)
    response = admin_client.post(page, {"answer": "no"}, follow=True)
    assert "has ended already" in response.content.decode()
    assert ModelRequest.objects.get().state == RequestState.WITHDRAWN
    assert not LogEntry.objects.exists()


def test_words_that_are_too_long_are_sent_back(asked: ModelRequest, admin_client: Client) -> None:
    response = admin_client.post(f"{PAGE}{asked.pk}/decline/", {"answer": "x" * 301})
    assert "at most 300 characters" in response.content.decode()
    assert ModelRequest.objects.get().state == RequestState.OPEN


def test_the_list_shows_open_requests_and_others_when_asked(
    asked: ModelRequest, admin_client: Client, make_user: MakeUser
) -> None:
    other = asking.ask(SERVER, make_user("ben").pk, MISTRAL)
    assert other is not None
    asking.withdraw(other.user_id, other.pk)
    page = html(admin_client, PAGE)
    assert "for my code &lt;script&gt;" in page
    pk = TabbyModel.objects.get(name=QWEN).pk
    assert f'formaction="{MODELS}{pk}/switch/"' in page
    assert MISTRAL not in page
    everything = html(admin_client, f"{PAGE}?state=all")
    assert MISTRAL in everything
    assert QWEN in everything
    assert "ben" in html(admin_client, f"{PAGE}?state=all&q=mistral")
    assert QWEN not in html(admin_client, f"{PAGE}?state=nonsense")


def test_the_list_asks_no_more_for_more_requests(
    asked: ModelRequest, admin_client: Client, make_user: MakeUser, django_assert_num_queries: Any
) -> None:
    html(admin_client, PAGE)
    with CaptureQueriesContext(connection) as one:
        html(admin_client, PAGE)
    for number in range(10):
        asking.ask(SERVER, make_user(f"user-{number}").pk, QWEN)
    with django_assert_num_queries(len(one)):
        html(admin_client, PAGE)


def test_addresses_from_before_lead_to_these_pages(asked: ModelRequest, admin_client: Client) -> None:
    before = "/admin/models_admin/wish/"
    assert admin_client.get(f"{before}?state=all", follow=True).redirect_chain == [(f"{PAGE}?state=all", 308)]
    declined = admin_client.post(f"{before}{asked.pk}/decline/", {"answer": "No"}, follow=True)
    assert declined.redirect_chain == [(f"{PAGE}{asked.pk}/decline/", 308), (PAGE, 302)]
    assert ModelRequest.objects.get().answer == "No"


def test_requests_cannot_be_added_changed_or_deleted(asked: ModelRequest, admin_client: Client) -> None:
    assert admin_client.get(f"{PAGE}add/").status_code == 403
    assert admin_client.get(f"{PAGE}{asked.pk}/delete/").status_code == 403
    assert admin_client.post(f"{PAGE}{asked.pk}/change/", {"state": "granted"}).status_code == 403
    assert ModelRequest.objects.get().target == QWEN
