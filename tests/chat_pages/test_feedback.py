"""What readers say of replies: given, changed and taken back over HTTP, kept without a name, read by administrators."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from chat import conversations, feedback, wire
from chat.models import Conversation, Feedback, Message

pytestmark = pytest.mark.django_db
LIST = "/api/admin/feedback"


@pytest.fixture(autouse=True)
def _fresh_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "limit", feedback._Limit())


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def client(ada: User) -> Client:
    return client_of(ada)


@pytest.fixture
def reply(ada: User) -> Message:
    return replied(ada)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def manager() -> Client:
    user = User.objects.create_user("mara", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="manage"))
    return client_of(user)


def replied(owner: User, text: str = "It has a warp.", model: str = "alpha", **fields: Any) -> Message:
    """A reply at the end of a new conversation of `owner`."""
    talk = Conversation.objects.create(owner=owner, title="Looms")
    asked = talk.messages.create(role="user", status="complete", text="How does a loom work?")
    facts = {"status": "complete", "text": text, "model": model, **fields}
    made = talk.messages.create(role="assistant", parent=asked, **facts)
    talk.head = made
    talk.save()
    return made


def address(reply: Message) -> str:
    return f"/api/replies/{reply.pk}/feedback"


def put(client: Client, reply: Message, thumb: str = "up", **more: Any) -> Any:
    return client.put(address(reply), json.dumps({"thumb": thumb, **more}), "application/json")


def shown(reply: Message) -> Any:
    return wire.messages([reply.pk])[0]["feedback"]


def test_feedback_is_given_changed_and_taken_back(client: Client, reply: Message) -> None:
    assert shown(reply) is None
    answer = put(client, reply, words="  Clear. ")
    assert (answer.status_code, answer.json()) == (
        200, {"thumb": "up", "words": "Clear.", "attached": False},
    )  # fmt: skip
    assert shown(reply) == answer.json() == wire.branch(reply.conversation_id)["messages"][-1]["feedback"]
    changed = put(client, reply, "down", attach=True).json()
    assert changed == shown(reply) == {"thumb": "down", "words": "", "attached": True}
    kept = Feedback.objects.get()
    assert (kept.question, kept.answer, kept.model) == ("How does a loom work?", "It has a warp.", "alpha")
    put(client, reply, "down")
    kept.refresh_from_db()
    assert (kept.question, kept.answer) == ("", "")
    assert client.delete(address(reply)).status_code == 204
    assert shown(reply) is None
    assert client.delete(address(reply)).status_code == 204  # once more does no harm


def test_other_peoples_replies_and_what_is_no_reply_are_not_found(client: Client, reply: Message) -> None:
    bob = client_of(User.objects.create_user("bob"))
    put(client, reply)
    assert put(bob, reply, "down").status_code == 404
    assert bob.delete(address(reply)).status_code == 404
    assert shown(reply)["thumb"] == "up"
    assert reply.parent
    assert put(client, reply.parent).status_code == 404
    conversations.delete(reply.conversation_id)
    assert put(client, reply).status_code == 404
    assert Client().delete(address(reply)).status_code == 401
    assert client.delete(address(reply), headers={"Origin": "https://elsewhere.example"}).status_code == 403


@pytest.mark.parametrize("status", ["queued", "streaming"])
def test_a_reply_that_has_not_ended_takes_none(client: Client, ada: User, status: str) -> None:
    answer = put(client, replied(ada, status=status))
    assert answer.status_code == 409
    assert "not ended yet" in answer.json()["detail"]


def test_a_reply_without_text_takes_none_and_a_stopped_one_does(client: Client, ada: User) -> None:
    assert put(client, replied(ada, " ", status="failed")).status_code == 409
    assert put(client, replied(ada, status="stopped")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{"thumb": "sideways"}, {}, {"words": "x" * 501}, {"words": "\0"}, {"attach": 1}, {"stars": 5}],
)
def test_what_does_not_fit_is_refused(client: Client, reply: Message, body: dict[str, Any]) -> None:
    answer = client.put(
        address(reply), json.dumps({"thumb": "up", **body} if body else {}), "application/json"
    )
    assert answer.status_code == 422
    assert not Feedback.objects.exists()


def test_words_of_five_hundred_characters_fit_and_controls_are_made_visible(
    client: Client, reply: Message
) -> None:
    assert put(client, reply, words="é" * 500).json()["words"] == "é" * 500
    assert put(client, reply, words="a\x1bb").json()["words"] == "a␛b"


def test_a_person_changes_so_many_in_a_minute(
    client: Client, reply: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "PER_MINUTE", 2)
    assert [put(client, reply, each).status_code for each in ("up", "down", "up")] == [200, 200, 429]
    bob = User.objects.create_user("bob")
    assert put(client_of(bob), replied(bob)).status_code == 200
    assert shown(reply)["thumb"] == "down"


def test_the_export_has_it(client: Client, reply: Message) -> None:
    put(client, reply, "down", words="Too short.")
    path = f"/api/conversations/{reply.conversation_id}/export"
    rows = json.loads(b"".join(client.get(f"{path}.json")))["messages"]
    given = {"thumb": "down", "words": "Too short.", "attached": False}
    assert [row["feedback"] for row in rows] == [None, given]
    assert b"*Your feedback: bad, Too short.*" in b"".join(client.get(f"{path}.md"))


def test_a_deleted_conversation_leaves_thumb_and_words_but_not_the_exchange(
    client: Client, ada: User, reply: Message
) -> None:
    put(client, reply, words="Clear.", attach=True)
    other = replied(ada)
    put(client, other, attach=True)
    path = f"/api/conversations/{reply.conversation_id}"
    assert client.delete(path).status_code == 204
    kept = Feedback.objects.get(message=reply)
    assert (kept.thumb, kept.words, kept.question, kept.answer) == ("up", "Clear.", "", "")
    assert shown(other)["attached"]
    client.post(f"{path}/restore")
    assert shown(reply) == {"thumb": "up", "words": "Clear.", "attached": False}
    conversations.delete_all(ada.pk)
    left = list(Feedback.objects.values_list("message", "thumb", "question", "answer"))
    assert left == [(None, "up", "", "")] * 2


def test_administrators_read_counts_words_and_exchanges_and_nobodys_name(
    client: Client, ada: User, reply: Message, manager: Client
) -> None:
    put(client, reply, words="Clear.", attach=True)
    put(client, replied(ada, "secret text"), "down")
    put(client, replied(ada, model="beta"), "down", words="Slow.")
    told = manager.get(LIST)
    assert told.status_code == 200
    data = told.json()
    assert data["models"] == [
        {"model": "alpha", "up": 1, "down": 1, "with_words": 1, "attached": 1},
        {"model": "beta", "up": 0, "down": 1, "with_words": 1, "attached": 0},
    ]
    assert [each["words"] for each in data["feedback"]] == ["Slow.", "", "Clear."]
    exchange = {"question": "How does a loom work?", "answer": "It has a warp."}
    assert [each["exchange"] for each in data["feedback"]] == [None, None, exchange]
    assert not re.search(r"ada|secret|Looms", told.content.decode())
    first = manager.get(f"{LIST}?limit=2").json()
    rest = manager.get(f"{LIST}?limit=2&before={first['next']}").json()
    assert [each["words"] for each in rest["feedback"]] == ["Clear."]
    assert rest["next"] is None
    some = manager.get(f"{LIST}?model=alpha&thumb=down").json()["feedback"]
    assert [(each["model"], each["thumb"]) for each in some] == [("alpha", "down")]
    assert client.get(LIST).status_code == 403


def test_the_admin_site_shows_the_same(client: Client, ada: User, reply: Message, manager: Client) -> None:
    put(client, reply, words="<b>Clear.</b>", attach=True)
    put(client, replied(ada, "secret text", model="beta"), "down")
    page = manager.get("/admin/chat/feedback/").content.decode()
    heads = re.findall(
        r'<tr><th scope="row"><a [^>]*>(.*?)</a></th><td>(\d+)</td><td>(\d+)</td><td>(\d+%)</td>', page
    )
    assert sorted(heads) == [("alpha", "1", "0", "100%"), ("beta", "0", "1", "0%")]
    assert "&lt;b&gt;Clear.&lt;/b&gt;" in page
    assert not re.search(r"\bada\b|secret|Looms", page)
    given = Feedback.objects.get(model="alpha")
    one = manager.get(f"/admin/chat/feedback/{given.pk}/change/").content.decode()
    assert "How does a loom work?" in one
    assert not re.search(r"\bada\b", one)
    for choice, models in {"of=beta": {"beta"}, "with=words": {"alpha"}, "with=exchange": {"alpha"}}.items():
        some = manager.get(f"/admin/chat/feedback/?{choice}").content.decode()
        assert set(re.findall(r'<tr><th scope="row"><a [^>]*>(.*?)</a></th>', some)) == models
    staff = client_of(User.objects.create_user("eve", is_staff=True))
    assert staff.get("/admin/chat/feedback/").status_code == 403
    assert manager.post(f"/admin/chat/feedback/{given.pk}/delete/", {"post": "yes"}).status_code == 403
