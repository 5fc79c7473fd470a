"""Users' requests for a model: the API of the chat page, and how each of them ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser, running
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from support.servers import SERVER

from models_admin.model_requests import asking, endings
from models_admin.models import ModelRequest, RequestState, Source, State, Switch, TabbyModel
from models_admin.presentation import snapshots
from models_admin.servers import state_row
from models_admin.switching import ownership, transitions
from models_admin.tabby.wire import ModelCard

API = "/api/models/requests"
SCRIPT = "<script>alert(1)</script>"
Catalog = dict[str, TabbyModel]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann(make_user: MakeUser) -> Client:
    """Somebody who chats and has no permission."""
    return signed_in(make_user("ann", is_staff=False))


@pytest.fixture
def ben(make_user: MakeUser) -> Client:
    """Another one."""
    return signed_in(make_user("ben", is_staff=False))


def ask(client: Client, model: str = QWEN, reason: str = "", status: int = 200) -> dict[str, Any]:
    body = {"model_id": model, "reason": reason}
    response = client.post(API, body, content_type="application/json")
    assert response.status_code == status, response.content
    answer: dict[str, Any] = response.json()
    return answer


def told(client: Client) -> list[dict[str, Any]]:
    """What the user is told of their requests."""
    response = client.get(API)
    assert response.status_code == 200
    requests: list[dict[str, Any]] = response.json()["requests"]
    return requests


def states(client: Client) -> list[tuple[str, str]]:
    return [(each["model"], each["state"]) for each in told(client)]


def load(model: str) -> None:
    """The model is loaded, whoever did it."""
    with transitions.transaction.atomic():
        state_row.set_loaded(SERVER, ModelCard(model, {}))


# Asking -------------------------------------------------------------------------------------------------------------


def test_the_models_that_can_be_asked_for_are_those_shown_in_chat(catalog: Catalog, ann: Client) -> None:
    TabbyModel.objects.filter(name=MISTRAL).update(visible=False)
    TabbyModel.objects.filter(name=QWEN).update(
        display_name="Qwen, the coder", tags=["coding"], notes=f"Good at {SCRIPT}"
    )
    offered = ann.get(API).json()["models"]
    assert [each["id"] for each in offered] == [LLAMA, QWEN]
    assert offered[1] == {
        "id": QWEN,
        "name": "Qwen, the coder",
        "tags": ["coding"],
        "notes": f"Good at {SCRIPT}",
        "size": "7B · Q5",
        "switch_url": None,
    }


def test_a_request_is_kept_and_told_to_its_user_only(catalog: Catalog, ann: Client, ben: Client) -> None:
    answer = ask(ann, reason=f"  {SCRIPT}\n for\x00 my\x1b[31m code ")
    assert answer["request"]["reason"] == f"{SCRIPT} for my [31m code"
    assert answer["request"]["state"] == "open"
    assert "You will be told here" in answer["detail"]
    assert told(ann) == [answer["request"]]
    assert told(ben) == []


def test_asking_again_changes_the_reason(catalog: Catalog, ann: Client) -> None:
    first = ask(ann, reason="one")["request"]
    assert ask(ann, reason="two")["request"] == {
        **first,
        "reason": "two",
        "asked_at": told(ann)[0]["asked_at"],
    }
    assert [each["reason"] for each in told(ann)] == ["two"]


def test_two_people_may_ask_for_the_same_model(catalog: Catalog, ann: Client, ben: Client) -> None:
    assert ask(ann)["request"]["id"] != ask(ben)["request"]["id"]


def test_the_loaded_model_needs_no_request(catalog: Catalog, ann: Client) -> None:
    TabbyModel.objects.filter(name=LLAMA).update(display_name="Llama")
    answer = ask(ann, LLAMA)
    assert answer == {"request": None, "detail": "Llama is loaded already: it answers your messages."}
    assert not ModelRequest.objects.exists()


def test_the_loaded_model_can_be_asked_for_while_it_is_taken_away(catalog: Catalog, ann: Client) -> None:
    running(State.DRAINING)
    assert ask(ann, LLAMA)["request"]["state"] == "open"
    endings.look_after()
    assert states(ann) == [(LLAMA, "open")]
    Switch.objects.update(state=State.CANCELLED)  # nothing is loaded anew
    endings.look_after()
    assert states(ann) == [(LLAMA, "granted")]


@pytest.mark.parametrize(
    "name", ["nothing-like-it", "../x", SCRIPT, MISTRAL], ids=["unknown", "path", "script", "hidden"]
)
def test_a_model_that_is_not_offered_cannot_be_asked_for(catalog: Catalog, ann: Client, name: str) -> None:
    TabbyModel.objects.filter(name=MISTRAL).update(visible=False)
    answer = ask(ann, name, status=404)
    assert answer["detail"] == f"“{name}” cannot be asked for: no such model is offered."
    assert not ModelRequest.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model_id": ""},
        {"model_id": QWEN, "reason": "x" * 301},
        {"model_id": QWEN, "user": 1},
        {"model_id": 7},
        {"model_id": "a\x00b"},
    ],
    ids=["empty", "no name", "long reason", "more", "number", "a zero byte"],
)
def test_a_request_of_the_wrong_shape_is_refused(catalog: Catalog, ann: Client, body: dict[str, Any]) -> None:
    response = ann.post(API, body, content_type="application/json")
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)


# Floods -------------------------------------------------------------------------------------------------------------


def test_only_so_many_requests_are_open_at_once(catalog: Catalog, ann: Client, ben: Client) -> None:
    for number in range(asking.MOST_OPEN + 1):
        TabbyModel.objects.create(name=f"model-{number}")
    for number in range(asking.MOST_OPEN):
        ask(ann, f"model-{number}")
    assert "Withdraw a request" in ask(ann, f"model-{asking.MOST_OPEN}", status=429)["detail"]
    ask(ann, "model-0", "Another reason is no other request.")
    ask(ben, f"model-{asking.MOST_OPEN}")
    ann.delete(f"{API}/{told(ann)[-1]['id']}")
    ask(ann, f"model-{asking.MOST_OPEN}")


def test_asking_over_and_over_is_refused_for_a_while(catalog: Catalog, ann: Client) -> None:
    for number in range(asking.MOST_AN_HOUR // 2):
        request = ask(ann, reason=f"{number}")["request"]
        ask(ann, reason=f"{number}, once more")
        assert ann.delete(f"{API}/{request['id']}").status_code == 204
    assert "within the last hour" in ask(ann, status=429)["detail"]
    assert "within the last hour" in ask(ann, MISTRAL, status=429)["detail"]
    ModelRequest.objects.update(asked_at=timezone.now() - timedelta(hours=1))
    ask(ann)


def test_what_was_asked_on_other_days_is_not_counted(catalog: Catalog, ann: Client) -> None:
    for day in range(asking.MOST_AN_HOUR):
        ask(ann, reason=f"{day}")
        ModelRequest.objects.update(asked_at=timezone.now() - timedelta(days=1))
    ask(ann, reason="today")
    ask(ann, reason="today, once more")


def test_the_same_request_sent_again_counts_once(catalog: Catalog, ann: Client) -> None:
    first = ask(ann, reason="please")
    for _ in range(asking.MOST_AN_HOUR + 1):
        assert ask(ann, reason="please") == first


# Who may ----------------------------------------------------------------------------------------------------------


def test_who_may_switch_is_shown_where_and_does_not_ask(catalog: Catalog, make_user: MakeUser) -> None:
    client = signed_in(make_user("olga", "switch"))
    pk = catalog[QWEN].pk
    links = {each["id"]: each["switch_url"] for each in client.get(API).json()["models"]}
    assert links[QWEN] == f"/admin/models_admin/tabbymodel/{pk}/switch/"
    assert "switch to" in ask(client, status=403)["detail"]
    outside = signed_in(make_user("otto", "switch", is_staff=False))
    assert {each["switch_url"] for each in outside.get(API).json()["models"]} == {None}


def test_nobody_gets_in_without_a_session_or_from_another_site(catalog: Catalog, ann: Client) -> None:
    assert Client().get(API).status_code == 401
    assert Client().post(API, {"model_id": QWEN}, content_type="application/json").status_code == 401
    foreign = {"HTTP_ORIGIN": "https://elsewhere.example"}
    assert ann.post(API, {"model_id": QWEN}, content_type="application/json", **foreign).status_code == 403
    assert not ModelRequest.objects.exists()


def test_another_users_request_cannot_be_withdrawn_or_put_away(
    catalog: Catalog, ann: Client, ben: Client
) -> None:
    number = ask(ann)["request"]["id"]
    for other in (number, number + 1, 2**63, 10**30):
        assert ben.delete(f"{API}/{other}").status_code == 404
        assert ben.post(f"{API}/{other}/seen").status_code == 404
    load(QWEN)
    assert ben.post(f"{API}/{number}/seen").status_code == 404
    assert ben.delete(f"{API}/{number}").status_code == 404
    assert states(ann) == [(QWEN, "granted")]


# How they end -----------------------------------------------------------------------------------------------------


def test_a_request_is_withdrawn_and_no_longer_told(catalog: Catalog, ann: Client) -> None:
    number = ask(ann)["request"]["id"]
    for _ in range(2):
        assert ann.delete(f"{API}/{number}").status_code == 204
    assert told(ann) == []
    assert ModelRequest.objects.get().state == RequestState.WITHDRAWN
    assert ask(ann)["request"]["id"] != number


def test_requests_are_granted_when_their_model_is_loaded(catalog: Catalog, ann: Client, ben: Client) -> None:
    number = ask(ann)["request"]["id"]
    ask(ben)
    ask(ben, MISTRAL)
    switch = ownership.claim(transitions.request(SERVER, QWEN, source=Source.COMMAND).pk)
    assert switch is not None
    for state in (State.DRAINING, State.UNLOADING, State.LOADING, State.VERIFYING):
        transitions.move(switch, state)
        assert states(ann) == [(QWEN, "open")]
    transitions.succeed(switch, card=ModelCard(QWEN, {}))
    assert states(ann) == [(QWEN, "granted")]
    assert states(ben) == [(QWEN, "granted"), (MISTRAL, "open")]
    late = ann.delete(f"{API}/{number}")
    assert (late.status_code, late.json()["detail"]) == (
        409,
        "This request has been answered already: granted.",
    )


def test_the_notice_of_an_end_is_told_until_it_is_put_away(catalog: Catalog, ann: Client) -> None:
    number = ask(ann)["request"]["id"]
    assert ann.post(f"{API}/{number}/seen").status_code == 204  # it is open: there is nothing to put away
    load(QWEN)
    assert states(ann) == [(QWEN, "granted")]
    for _ in range(2):
        assert ann.post(f"{API}/{number}/seen").status_code == 204
        assert told(ann) == []


def test_the_notice_of_an_end_is_no_news_after_two_weeks(catalog: Catalog, ann: Client) -> None:
    ask(ann)
    load(QWEN)
    ModelRequest.objects.update(ended_at=timezone.now() - asking.NOTICE_FOR)
    assert told(ann) == []


def test_a_failed_switch_leaves_the_request_open(catalog: Catalog, ann: Client) -> None:
    ask(ann)
    switch = ownership.claim(transitions.request(SERVER, QWEN, source=Source.ADMIN).pk)
    assert switch is not None
    for state in (State.DRAINING, State.UNLOADING, State.LOADING, State.ROLLING_BACK, State.FAILED):
        transitions.move(switch, state)
    load(LLAMA)
    endings.look_after()
    assert states(ann) == [(QWEN, "open")]


def test_a_model_that_vanishes_closes_its_requests(catalog: Catalog, ann: Client) -> None:
    ask(ann)
    ask(ann, MISTRAL)
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now() - timedelta(minutes=9))
    endings.look_after()
    assert states(ann) == [(QWEN, "open"), (MISTRAL, "open")], "it may come back"
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now() - timedelta(minutes=11))
    endings.look_after()
    assert states(ann) == [(QWEN, "gone"), (MISTRAL, "open")]


def test_a_request_that_nobody_answers_expires(catalog: Catalog, ann: Client, settings: Any) -> None:
    settings.REQUEST_DAYS = 2.0
    ask(ann)
    ModelRequest.objects.update(asked_at=timezone.now() - timedelta(days=1.9))
    endings.look_after()
    assert states(ann) == [(QWEN, "open")]
    ModelRequest.objects.update(asked_at=timezone.now() - timedelta(days=2.1))
    endings.look_after()
    assert states(ann) == [(QWEN, "expired")]


def test_requests_that_ended_long_ago_are_forgotten(catalog: Catalog, ann: Client) -> None:
    ask(ann)
    ask(ann, MISTRAL)
    load(QWEN)
    ModelRequest.objects.filter(target=QWEN).update(ended_at=timezone.now() - endings.KEPT)
    endings.look_after()
    assert [each.target for each in ModelRequest.objects.all()] == [MISTRAL]


# The words of the loaded model ------------------------------------------------------------------------------------


def test_the_snapshot_has_the_words_for_the_loaded_model(catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=LLAMA).update(
        display_name="Llama", notes="For everything.", tags=["general"]
    )
    assert snapshots.current(SERVER)["about"] == {
        "id": LLAMA,
        "name": "Llama",
        "tags": ["general"],
        "notes": "For everything.",
        "visible": True,
        "size": "8B",
    }
    with transitions.transaction.atomic():
        state_row.set_loaded(SERVER, None)
    assert snapshots.current(SERVER)["about"] is None
