"""The conversation list over HTTP: paging, searching, changing, exporting; and nobody gets at another's."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from chat import replies
from chat.models import Conversation, Message
from models_admin.aliases import changes
from models_admin.aliases.book import book
from models_admin.aliases.changes import Wanted

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def client(ada: User) -> Client:
    return client_of(ada)


@pytest.fixture
def theirs() -> Conversation:
    """Another user's conversation, about a secret."""
    made = talk(User.objects.create_user("bob"), "Their secret")
    said(made, "the secret word is xylophone")
    return made


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def talk(owner: User, title: str, hours: float = 0, **fields: Any) -> Conversation:
    return Conversation.objects.create(
        owner=owner, title=title, updated_at=NOW - datetime.timedelta(hours=hours), **fields
    )


def said(conversation: Conversation, text: str, answer: str = "") -> Message:
    """A message and its reply, at the end of the shown branch."""
    last = conversation.head
    for role, words in (("user", text), ("assistant", answer)):
        last = conversation.messages.create(role=role, status="complete", text=words, parent=last)
    conversation.head = last
    conversation.save()
    assert last is not None
    return last


def titles(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    data = answer.json()
    return [row["title"] for row in data.get("conversations", data.get("results"))]


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, path, json.dumps(body) if body is not None else "", "application/json")


def test_a_conversation_is_made_with_an_id_and_a_title(client: Client, ada: User) -> None:
    answer = send(client, "POST", "/api/conversations", {"temperature": 0.5, "system_prompt": "Be brief."})
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "title"}
    made = Conversation.objects.get(pk=answer.json()["id"])
    assert (made.owner, made.temperature, made.system_prompt, made.title) == (ada, 0.5, "Be brief.", "")
    assert send(client, "POST", "/api/conversations").status_code == 201


def test_the_list_is_newest_first_with_the_pinned_ones(
    client: Client, ada: User, theirs: Conversation
) -> None:
    talk(ada, "old", 9)
    talk(ada, "pinned", 99, pinned=True)
    talk(ada, "deleted", 0, deleted_at=NOW)
    talk(ada, "new", 1)
    assert titles(client.get("/api/conversations")) == ["pinned", "new", "old"]


def test_pages_follow_each_other_without_a_gap_or_a_repeat(client: Client, ada: User) -> None:
    for number in range(25):
        talk(ada, f"{number}", number // 3)  # with equal times
    talk(ada, "pinned", 50, pinned=True)
    seen: list[str] = []
    path = "/api/conversations?limit=10"
    for _ in range(3):
        answer = client.get(path)
        seen += titles(answer)
        following = answer.json()["next"]
        path = f"/api/conversations?limit=10&before={following.replace('+', '%2B')}" if following else ""
    assert path == ""
    assert sorted(seen) == sorted(["pinned", *map(str, range(25))])


@pytest.mark.parametrize(
    "before",
    [
        "x",
        "2026-01-01",
        "2026-01-01T00:00:00,x",
        "2026-01-01T00:00:00,0b5e1c52-6f0e-4b44-9a53-5a1de0000001",
        "0001-01-01T00:00:00+14:00,0b5e1c52-6f0e-4b44-9a53-5a1de0000001",
        "9999-12-31T23:59:59-14:00,0b5e1c52-6f0e-4b44-9a53-5a1de0000001",
    ],
)
def test_a_page_that_cannot_be_is_refused(client: Client, before: str) -> None:
    answer = client.get("/api/conversations", {"before": before})
    assert answer.status_code == 422
    assert "before" in answer.json()["detail"]


def test_search_finds_words_in_titles_and_in_messages(
    client: Client, ada: User, theirs: Conversation
) -> None:
    said(
        talk(ada, "Percussion", 3),
        "hello",
        "A xylophone is made of wood, and a glockenspiel is made of metal.",
    )
    said(talk(ada, "XYLOPHONE lessons", 1), "hello", "hi")
    said(talk(ada, "Deleted xylophone", 2, deleted_at=NOW), "xylophone")
    answer = client.get("/api/conversations/search", {"q": "xylophone"})
    assert titles(answer) == ["XYLOPHONE lessons", "Percussion"]
    assert answer.json()["results"][0]["snippet"] is None
    snippet = answer.json()["results"][1]["snippet"]
    assert (snippet["before"], snippet["match"]) == ("A ", "xylophone")
    assert snippet["after"].startswith(" is made of wood")
    assert titles(client.get("/api/conversations/search", {"q": "wood metal"})) == ["Percussion"]
    assert titles(client.get("/api/conversations/search", {"q": "wood lessons"})) == []
    assert titles(client.get("/api/conversations/search", {"q": "  "})) == []


@pytest.mark.parametrize("query", ["über äpfel", "ÜBER", "größe"], ids=["small", "capitals", "sharp s"])
def test_search_knows_the_capitals_of_other_languages(client: Client, ada: User, query: str) -> None:
    said(talk(ada, "Obst"), "Ein Gespräch Über ÄPFEL und ihre Größe (ca. 7 cm)")
    assert titles(client.get("/api/conversations/search", {"q": query})) == ["Obst"]


def test_what_others_said_does_not_crowd_out_what_is_mine(
    client: Client, ada: User, theirs: Conversation
) -> None:
    said(talk(ada, "Mine", 99), "xylophone")
    for number in range(45):
        said(talk(theirs.owner, f"{number}"), "xylophone")
    assert titles(client.get("/api/conversations/search", {"q": "xylophone"})) == ["Mine"]


@pytest.mark.parametrize("query", ["100%", "a_b", "'; DROP TABLE chat_message; --", "\\"])
def test_search_takes_every_character_as_itself(client: Client, ada: User, query: str) -> None:
    said(talk(ada, "other"), "100 and axb")
    assert titles(client.get("/api/conversations/search", {"q": query})) == []
    said(talk(ada, "this one"), f"about {query} here")
    assert titles(client.get("/api/conversations/search", {"q": query})) == ["this one"]


def test_a_conversation_is_renamed_pinned_and_tuned(client: Client, ada: User) -> None:
    mine = talk(ada, "Old name", temperature=1.0)
    path = f"/api/conversations/{mine.pk}"
    answer = send(
        client, "PATCH", path, {"title": "  New name ", "pinned": True, "temperature": None, "max_tokens": 99}
    )
    assert answer.status_code == 200
    assert answer.json()["title"] == "New name"
    mine.refresh_from_db()
    assert (mine.title, mine.pinned, mine.temperature, mine.max_tokens) == ("New name", True, None, 99)
    assert client.get(path).json() == answer.json()


@pytest.mark.usefixtures("_aliases")
@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": " "},
        {"title": "x" * 201},
        {"title": "nul\0"},
        {"title": None},
        {"pinned": None},
        {"pinned": "perhaps"},
        {"temperature": -1},
        {"temperature": 5.1},
        {"temperature": "NaN"},
        {"max_tokens": 0},
        {"owner": 1},
        {"alias": None},
        {"alias": "nothing"},
        {"alias": "few"},
        {"alias": "old"},
        {"alias": "x" * 65},
        {"system_prompt": "x" * 20_001},
        [],
        "x",
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(
    client: Client, ada: User, change: Any
) -> None:
    mine = talk(ada, "Name")
    answer = send(client, "PATCH", f"/api/conversations/{mine.pk}", change)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    mine.refresh_from_db()
    assert (mine.title, mine.pinned, mine.temperature, mine.alias) == ("Name", False, None, "")


@pytest.fixture
def _aliases() -> None:
    """One for everybody, one for superusers, and one that was retired."""
    changes.make("Coder", Wanted(), None)
    changes.make("few", Wanted(everybody=False), None)
    changes.retire(changes.make("old", Wanted(), None), "Coder", None)
    book.forget()


@pytest.mark.usefixtures("_aliases")
def test_an_alias_is_chosen_and_kept(client: Client, ada: User) -> None:
    offered = client.get("/api/aliases").json()["aliases"]
    assert [(each["name"], bool(each["retired"])) for each in offered] == [("Coder", False), ("old", True)]
    made = send(client, "POST", "/api/conversations", {"alias": "coder"}).json()["id"]
    path = f"/api/conversations/{made}"
    assert client.get(path).json()["alias"] == "Coder"
    assert send(client, "POST", "/api/conversations", {"alias": "few"}).status_code == 422
    changes.retire(changes.find("Coder"), "", None)
    book.forget()
    kept = {"alias": "Coder", "temperature": 0.5}  # which the page sends with the rest
    assert send(client, "PATCH", path, kept).status_code == 200
    assert send(client, "PATCH", path, {"alias": ""}).json()["alias"] == ""
    assert send(client, "PATCH", path, {"alias": "Coder"}).status_code == 422


def test_a_body_that_is_not_json_is_refused(client: Client, ada: User) -> None:
    mine = talk(ada, "Name")
    answer = client.generic("PATCH", f"/api/conversations/{mine.pk}", "{", "application/json")
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


def test_a_deleted_conversation_is_gone_until_it_is_restored(client: Client, ada: User) -> None:
    mine = talk(ada, "Precious")
    said(mine, "precious words")
    path = f"/api/conversations/{mine.pk}"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404
    assert titles(client.get("/api/conversations")) == []
    assert titles(client.get("/api/conversations/search", {"q": "precious"})) == []
    assert client.post(f"{path}/restore").json()["title"] == "Precious"
    assert titles(client.get("/api/conversations")) == ["Precious"]


def test_a_conversation_is_exported_as_markdown(client: Client, ada: User) -> None:
    mine = talk(ada, "Über Züge", system_prompt="Be brief.")
    reply = said(mine, "When?", "At **five**.")
    Message.objects.filter(pk=reply.pk).update(model="Llama-3.1-8B-Instruct")
    mine.messages.create(role="assistant", status="complete", text="another version", parent=reply.parent)
    answer = client.get(f"/api/conversations/{mine.pk}/export.md")
    assert answer["Content-Disposition"] == 'attachment; filename="ber-Z-ge.md"'
    assert answer.getvalue().decode() == (
        "# Über Züge\n\n> Be brief.\n\n## You\n\nWhen?\n\n## Llama-3.1-8B-Instruct\n\nAt **five**.\n"
    )


def test_a_conversation_is_exported_as_json_with_all_its_versions(client: Client, ada: User) -> None:
    mine = talk(ada, "Trains")
    reply = said(mine, "When?", "At five.")
    mine.messages.create(role="assistant", status="complete", text="At six.", parent=reply.parent)
    data = json.loads(client.get(f"/api/conversations/{mine.pk}/export.json").getvalue())
    assert [each["text"] for each in data["messages"]] == ["When?", "At five.", "At six."]
    assert data["shown"] == [reply.parent_id, reply.pk]
    assert data["title"] == "Trains"


def test_the_messages_that_led_to_one_are_listed(client: Client, ada: User, theirs: Conversation) -> None:
    mine = talk(ada, "Long")
    for number in range(60):
        last = said(mine, f"question {number}", f"answer {number}")
    mine.messages.create(role="assistant", status="complete", text="another version", parent=last.parent)
    path = f"/api/conversations/{mine.pk}/messages"
    page = client.get(path, {"before": last.pk}).json()
    assert page["earlier"] is True
    assert len(page["messages"]) == 100
    assert page["messages"][-1]["text"] == "question 59"
    assert page["messages"][-1]["versions"]["count"] == 1
    rest = client.get(path, {"before": page["messages"][0]["id"]}).json()
    assert rest["earlier"] is False
    assert [each["text"] for each in rest["messages"][:2]] == ["question 0", "answer 0"]
    assert len(rest["messages"]) == 19
    assert rest["messages"][1]["html"] == '<p dir="auto">answer 0</p>\n'
    assert theirs.head is not None
    assert client.get(path, {"before": theirs.head.pk}).status_code == 404
    assert client.get(path, {"before": "x"}).status_code == 422


PATHS = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/restore"),
    ("GET", "/messages?before=1"),
    ("GET", "/export.md"),
    ("GET", "/export.json"),
]


@pytest.mark.parametrize(("method", "end"), PATHS)
def test_anothers_conversation_is_not_found(
    client: Client, theirs: Conversation, method: str, end: str
) -> None:
    answer = send(client, method, f"/api/conversations/{theirs.pk}{end}", {} if method == "PATCH" else None)
    assert answer.status_code == 404
    assert "secret" not in answer.content.decode().lower()
    theirs.refresh_from_db()
    assert theirs.deleted_at is None


@pytest.mark.parametrize(("method", "end"), [*PATHS, ("GET", "list"), ("POST", "list"), ("GET", "search")])
def test_without_a_session_nothing_is_told(theirs: Conversation, method: str, end: str) -> None:
    path = {"list": "", "search": "/search?q=secret"}.get(end, f"/{theirs.pk}{end}")
    answer = send(Client(), method, f"/api/conversations{path}", {} if method in ("PATCH", "POST") else None)
    assert answer.status_code == 401
    assert set(answer.json()) == {"detail"}


def test_a_page_of_another_site_is_refused(client: Client) -> None:
    answer = client.post(
        "/api/conversations", {}, "application/json", headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert Conversation.objects.count() == 0


def test_titles_show_their_control_characters(client: Client, ada: User) -> None:
    made = client.post("/api/conversations", {"title": "Red \x1b[31m"}, "application/json").json()
    assert made["title"] == "Red ␛[31m"
    path = f"/api/conversations/{made['id']}"
    client.patch(path, {"title": "Bell \x07"}, "application/json")
    assert client.get(path).json()["title"] == "Bell ␇"
    assert replies.title_of("Turned \u202e round\nand more") == "Turned \ufffd round"


def test_a_socket_is_for_the_owner_of_a_conversation_that_is_there(ada: User) -> None:
    other = User.objects.create_user("other")
    mine = talk(ada, "mine")
    assert replies.conversation_of(ada.pk, mine.pk) == mine
    assert replies.conversation_of(other.pk, mine.pk) is None
    Conversation.objects.filter(pk=mine.pk).update(deleted_at=timezone.now())
    assert replies.conversation_of(ada.pk, mine.pk) is None
