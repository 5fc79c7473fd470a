"""Frames and requests that make no sense get a clear answer in their own place, and change nothing."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
import requests
from support.page import Page
from support.people import Person
from support.tabby import Tabby
from websockets.exceptions import ConnectionClosed, InvalidStatus

SOME = "0b5e1c52-6f0e-4b44-9a53-5a1de0000001"


def refused(page: Page, frame: str | bytes) -> dict[str, Any]:
    """Send it, and return the error event that answers."""
    page.socket.send(frame)
    return page.event("error")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("this is no JSON", "not_json"),
        ("[1, 2]", "not_json"),
        (b"\x00\xff", "not_json"),
        ('{"type": "dance"}', "unknown_type"),
        ("{}", "bad_frame"),
        ('{"type": 7}', "bad_frame"),
        ('{"type": "send", "text": "no id"}', "bad_frame"),
        ('{"type": "send", "client_id": "not-a-uuid", "text": "x"}', "bad_frame"),
        ('{"type": "send", "client_id": "' + SOME + '", "text": 5}', "bad_frame"),
        ('{"type": "send", "client_id": "' + SOME + '", "text": "  \\n "}', "empty"),
        ('{"type": "send", "client_id": "' + SOME + '", "text": "a\\u0000b"}', "bad_text"),
        ('{"type": "send", "client_id": "' + SOME + '", "text": "' + "x" * 200_000 + '"}', "too_long"),
        ('{"type": "stop", "id": "one"}', "bad_frame"),
        ('{"type": "stop", "id": true}', "bad_frame"),
        ('{"type": "stop", "id": 99999999999999999999999}', "bad_frame"),
        ('{"type": "stop", "id": 999999999}', "not_found"),
        ('{"type": "regenerate", "id": 999999999}', "not_found"),
        ('{"type": "edit", "id": 999999999, "client_id": "' + SOME + '", "text": "x"}', "not_found"),
    ],
)
def test_a_bad_frame_is_answered_and_the_socket_stays_open(
    tabby: Tabby, alice: Person, frame: str | bytes, code: str
) -> None:
    with alice.page() as page:
        error = refused(page, frame)
        assert error["code"] == code
        assert error["detail"]
        assert page.messages == {}
        assert page.answered(page.say("[[echo]]still here"))["text"] == "still here"


def test_too_many_frames_at_once_are_refused(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        with contextlib.suppress(ConnectionClosed):  # so many end the socket, too
            for _ in range(3000):
                page.frame(type="knock")
        page.until(lambda each: each.events[-1].get("code") == "too_fast", "a refusal")


@pytest.mark.parametrize("models", [False, True], ids=["chat", "models"])
def test_a_flood_of_frames_ends_the_socket(tabby: Tabby, alice: Person, models: bool) -> None:
    page = Page(alice.url, alice.cookie)
    with page.open("/ws/models/" if models else f"/ws/chat/{alice.conversation()}/") as page.socket:
        with contextlib.suppress(ConnectionClosed):  # it may end before all of them are sent
            for _ in range(5_000):
                page.socket.send('{"type":"knock"}')
        answers: list[str | bytes] = []
        with pytest.raises(ConnectionClosed) as ending:
            answers.extend(iter(lambda: page.socket.recv(timeout=20), None))
        assert ending.value.rcvd
        assert ending.value.rcvd.code == 4429
        assert sum("too_fast" in str(each) for each in answers) <= 100
    assert requests.get(f"{alice.url}/healthz", timeout=20).status_code == 200


@pytest.mark.parametrize("models", [False, True], ids=["chat", "models"])
def test_a_ping_is_answered_without_anything_else(tabby: Tabby, alice: Person, models: bool) -> None:
    page = Page(alice.url, alice.cookie)
    with page.open("/ws/models/" if models else f"/ws/chat/{alice.conversation()}/") as page.socket:
        page.socket.send('{"type":"ping"}')
        page.event("pong")


def test_a_conversation_whose_name_is_sent_twice_is_one(alice: Person, bob: Person) -> None:
    name = str(uuid.uuid4())
    made = [alice.call("POST", "/api/conversations", {"id": name}) for _ in range(2)]
    assert [(each.status_code, each.json()["id"]) for each in made] == [(201, name)] * 2
    assert bob.call("POST", "/api/conversations", {"id": name}).status_code == 409
    ids = [each["id"] for each in alice.call("GET", "/api/conversations").json()["conversations"]]
    assert ids.count(name) == 1


def test_a_page_of_another_account_gets_nothing(alice: Person, bob: Person) -> None:
    with bob.watch() as page, alice.page() as hers:
        bobs, own = page.events[0]["account"], hers.events[0]["account"]
    answer = alice.call("POST", "/api/conversations", {}, **{"X-Gantry-Account": str(bobs)})
    assert answer.status_code == 409
    assert alice.call("POST", "/api/conversations", {}, **{"X-Gantry-Account": str(own)}).status_code == 201
    assert "Somebody else has signed in" in answer.json()["detail"]


def test_a_lone_surrogate_is_refused_not_stored(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        error = refused(page, '{"type": "send", "client_id": "' + SOME + '", "text": "\\ud800"}')
        assert error["code"] in ("not_json", "bad_text")


@pytest.mark.parametrize("path", ["/ws/models/", "/ws/chat/{}/"])
def test_a_socket_without_a_session_is_closed(alice: Person, path: str) -> None:
    page = Page(alice.url, "")
    with page.open(path.format(alice.conversation())) as page.socket:
        assert page.closed() == 4401


def test_another_persons_conversation_is_not_found(alice: Person, bob: Person) -> None:
    page = Page(bob.url, bob.cookie)
    with page.open(f"/ws/chat/{alice.conversation()}/") as page.socket:
        assert page.closed() == 4404


def test_a_conversation_that_does_not_exist_is_not_found(alice: Person) -> None:
    page = Page(alice.url, alice.cookie)
    with page.open(f"/ws/chat/{uuid.uuid4()}/") as page.socket:
        assert page.closed() == 4404


def test_a_socket_from_another_site_is_refused(alice: Person) -> None:
    page = Page(alice.url, alice.cookie, origin="https://evil.example")
    with pytest.raises(InvalidStatus) as refusal, page.open("/ws/models/"):
        pass
    assert refusal.value.response.status_code == 403


def test_another_persons_message_cannot_be_stopped(tabby: Tabby, alice: Person, bob: Person) -> None:
    with alice.page() as hers, bob.page() as his:
        reply = hers.answered(hers.say("[[tokens=40 rate=50]]"), ("streaming",))
        his.frame(type="stop", id=reply["id"])
        assert his.event("error")["code"] == "not_found"
        his.frame(type="resync", id=reply["id"])
        hers.until(lambda each: each.messages[reply["id"]]["status"] == "complete", "the whole reply")
        assert his.messages == {}


@pytest.mark.parametrize("name", ["../alpha-7B", "alpha-7B/../beta-8B-Q5", "a\x00b", "", "x" * 300, "nobody"])
def test_a_name_that_is_not_in_the_catalog_never_reaches_tabbyapi(
    tabby: Tabby, admin: Person, name: str
) -> None:
    answer = admin.switch(name)
    assert 400 <= answer.status_code < 500
    assert isinstance(answer.json()["detail"], str)
    assert tabby.log("/v1/model/load") == []
    assert tabby.log("/v1/model/unload") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/admin/models/switch", "not json", 400),
        ("POST", "/api/admin/models/switch", "[]", 422),
        ("POST", "/api/admin/models/switch", '{"model_id": 7}', 422),
        ("PUT", "/api/admin/models/switch", "{}", 405),
        ("GET", "/api/admin/models/switch", "", 405),
        ("DELETE", "/api/admin/models", "", 405),
        ("GET", "/api/nothing", "", 404),
        ("GET", "/api/admin/switches/999999999", "", 404),
    ],
)
def test_a_bad_request_is_answered_in_json(
    admin: Person, method: str, path: str, body: str, status: int
) -> None:
    headers = {"Cookie": f"session_id={admin.cookie}", "Content-Type": "application/json"}
    answer = requests.request(method, admin.url + path, data=body, headers=headers, timeout=20)
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


def test_the_api_wants_a_session_and_a_permission(admin: Person, alice: Person) -> None:
    bare = requests.post(f"{admin.url}/api/admin/models/switch", json={"model_id": "beta-8B-Q5"}, timeout=20)
    assert bare.status_code == 401
    assert isinstance(bare.json()["detail"], str)
    assert alice.switch("beta-8B-Q5").status_code == 403
    assert alice.call("POST", "/api/admin/models/unload").status_code == 403


def test_another_site_cannot_use_a_session(admin: Person) -> None:
    assert admin.switch("beta-8B-Q5", Origin="https://evil.example").status_code == 403
    assert admin.switch("beta-8B-Q5", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
