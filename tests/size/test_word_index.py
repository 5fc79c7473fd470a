"""Searching asks an index of words that is never behind, on both databases, and that older databases are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from support.plans import asked, walks

from chat import conversations, words
from chat.models import Conversation, Message


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def talk(ada: User) -> Conversation:
    return Conversation.objects.create(owner=ada, title="Talk")


def say(talk: Conversation, text: str, status: str = "complete") -> Message:
    return talk.messages.create(role="assistant", status=status, text=text)


def found(user: User, query: str) -> bool:
    return bool(conversations.search(user, query))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("我喜欢吃苹果。", "苹果"),
        ("明日は晴れるでしょう", "晴れる"),
        ("สวัสดีครับ ยินดีต้อนรับ", "ครับ"),
        ("사과를 먹었다", "사과"),
        ("हिन्दी में लिखा", "हिन्दी"),
        ("Die Straße ist GROSS", "STRASSE groß"),
        ("well done 🎉 everybody", "🎉"),
        ("call foo_bar(x)[0] now", "foo_bar(x)"),
        ("see https://example.org/a-b?c=d", "example.org/a-b"),
        ("it costs 1.234,56 €", "1.234,56"),
        ("A" * 60 + "bc", "a" * 60 + "b"),
        (r"C:\temp 'quoted' \"twice\" *", r"\temp 'quoted'"),
    ],
)
def test_words_are_found_by_their_beginning_in_all_scripts(
    ada: User, talk: Conversation, text: str, query: str
) -> None:
    say(talk, "something else")
    assert not found(ada, query)
    say(talk, text)
    assert found(ada, query)
    assert not found(ada, f"{query}x")


def test_the_index_is_never_behind(ada: User, talk: Conversation) -> None:
    reply = say(talk, "", "queued")
    Message.objects.filter(pk=reply.pk).update(status="streaming", text="half a xylo")
    assert found(ada, "xylo")  # which is not in the index yet
    Message.objects.filter(pk=reply.pk).update(text="half a xylophone", status="stopped")
    assert found(ada, "xylophone")
    Message.objects.filter(pk=reply.pk).update(text="a glockenspiel")
    assert found(ada, "glockenspiel")
    assert words.matching(ada.pk, ["xylophone"], 9) == []
    Message.objects.filter(pk=reply.pk).update(status="queued")
    assert words.matching(ada.pk, ["glockenspiel"], 9) == []
    Message.objects.filter(pk=reply.pk).update(status="complete")
    assert words.matching(ada.pk, ["glockenspiel"], 9) == [reply.pk]
    Message.objects.bulk_create(
        Message(conversation=talk, role="user", status="complete", text=f"brought {n}") for n in range(3)
    )
    assert len(words.matching(ada.pk, ["brought"], 9)) == 3
    ada.delete()
    with connection.cursor() as cursor:
        where = "chat_words" if connection.vendor == "sqlite" else "chat_message WHERE words IS NOT NULL"
        cursor.execute(f"SELECT count(*) FROM {where}")
        assert cursor.fetchone() == (0,)


def test_nobody_is_shown_what_others_wrote_whatever_they_search_for(ada: User, talk: Conversation) -> None:
    bob = User.objects.create_user("bob")
    say(talk, "a secret")
    say(talk, f"_o{bob.pk} @{bob.pk} secret")
    assert found(ada, "secret")
    for query in ("secret", f"_o{ada.pk}", f"@{ada.pk}", f"_o{bob.pk}", f"@{bob.pk}", "* OR *", "' | '"):
        assert not found(bob, query)


def test_no_word_finds_all_that_a_person_wrote(ada: User, talk: Conversation) -> None:
    say(talk, "a secret")
    for query in ("o", "_", "_o", "@", f"_o{ada.pk}", f"o{ada.pk}", f"@{ada.pk}"):
        assert words.matching(ada.pk, [query], 9) == []


def test_a_text_without_end_is_taken(ada: User, talk: Conversation) -> None:
    say(talk, " ".join(f"{number:x}é" * 9 for number in range(30_000)))
    say(talk, "x" * 400_000)
    say(talk, "(" * 100_000)
    assert found(ada, "xxx")


def test_a_word_is_whole_wherever_it_stands_in_a_long_text(ada: User, talk: Conversation) -> None:
    for before in range(words.PART - 10, words.PART + 2):
        said = say(talk, "(" * before + " xylophone")
        assert words.matching(ada.pk, ["xylophone"], 1) == [said.pk]
    said = say(talk, "y" * 3 * words.PART + " glockenspiel")
    assert words.matching(ada.pk, ["y" * words.PART, "glockenspiel"], 1) == [said.pk]


def test_other_threads_need_not_wait_for_a_long_text() -> None:
    for text in ("苹果" * 100_000, "(" * 200_000, "x" * 200_000, "some words " * 20_000):
        parts = list(words.parts(text))
        assert len(parts) >= len(text) // words.PART
        assert max(len(part) for part in parts) <= words.PART


def test_of_very_many_terms_the_first_are_found(ada: User, talk: Conversation) -> None:
    said = say(talk, " ".join(f"n{number}" for number in range(words.MOST_TERMS + 2_000)))
    for number in (0, 1_000, words.MOST_TERMS - 1):
        assert words.matching(ada.pk, [f"n{number}"], 9) == [said.pk]
    assert words.matching(ada.pk, [f"n{words.MOST_TERMS}"], 9) == []


def test_a_search_walks_through_nothing_and_looks_into_few_messages(reader: User) -> None:
    for query in ("nothingofthekind", "the and", "the zzz", "größe Äpfel", "\\", "Bake"):
        with asked() as queries:
            conversations.search(reader, query)
        assert len(queries) <= 10
        assert walks(partial(conversations.search, reader, query)) == []


@pytest.mark.parametrize("seldom", [0, 0.01, 0.02, words.RARE])
def test_a_long_beginning_finds_the_same_however_often_its_first_letters_do(
    ada: User, talk: Conversation, monkeypatch: pytest.MonkeyPatch, seldom: float
) -> None:
    """In SQLite the newest ones are asked for by these: as many as that pays."""
    monkeypatch.setattr(words, "RARE", seldom)
    said = [say(talk, text).pk for text in ("glob", "glocke", "foo_glob", "Glockenspiel", "grün") * 6]
    bells = [pk for number, pk in enumerate(said) if number % 5 in (1, 3)][::-1]
    for most in (1, 7, 12, 99):
        assert words.matching(ada.pk, ["GLOCK"], most) == bells[:most]
        assert words.matching(ada.pk, ["grün"], most) == said[4::5][::-1][:most]
    assert words.matching(ada.pk, ["glockenspielerin"], 9) == []
    assert words.matching(ada.pk, ["foo_glob"], 9) == said[2::5][::-1]


def test_for_a_word_that_is_everywhere_fts5_is_asked_only_by_its_first_letters(reader: User) -> None:
    with asked() as queries:
        assert len(words.matching(reader.pk, ["größe", "ÄPFEL"], 100)) == 100
    assert len([sql for sql, _ in queries if "chat_words MATCH" in sql]) == (connection.vendor == "sqlite")


def test_postgresql_looks_through_the_newest_messages_for_a_word_that_many_have(reader: User) -> None:
    """Its index would give all of them first."""
    for query, index_is_asked in (
        ("the", False),
        ("größe Äpfel", False),
        ("größenordnung", True),
        ("nothing", True),
    ):
        with asked() as queries:
            conversations.search(reader, query)
        walked = [sql for sql, _ in queries if "LATERAL" in sql]
        assert len(walked) == (connection.vendor == "postgresql")
        if walked:
            assert any("MATERIALIZED" in sql for sql, _ in queries) == index_is_asked


@pytest.mark.parametrize("seldom", [0, 2, 1000])
@pytest.mark.parametrize(("at_once", "of_each"), [(1, 1), (2, 3), (50, 100)])
def test_a_search_finds_the_same_however_much_is_looked_through(
    ada: User, monkeypatch: pytest.MonkeyPatch, seldom: int, at_once: int, of_each: int
) -> None:
    monkeypatch.setattr(words, "RARE", seldom)
    monkeypatch.setattr(words, "SCANNED_AT_ONCE", at_once)
    monkeypatch.setattr(words, "NEWEST_OF_EACH", of_each)
    for said in (["bell", "none", "none", "none"], ["none", "bell"], ["bell"] * 5, ["none"] * 4, []):
        talk = Conversation.objects.create(owner=ada, title=f"{said.count('bell')} of {len(said)}")
        for text in said:
            say(talk, text)
    found = {each["title"] for each in conversations.search(ada, "Bell")}
    assert found == {"1 of 4", "1 of 2", "5 of 5"}


@contextmanager
def of_an_older_database(migration: str) -> Iterator[Callable[..., Message]]:
    """Say something in a database that has come to this migration only; afterwards it has all."""
    call_command("migrate", "chat", migration, verbosity=0)
    try:
        chat = MigrationExecutor(connection).loader.project_state([("chat", migration)]).apps
        talk = chat.get_model("chat", "Conversation").objects.create(
            owner_id=User.objects.create_user("ada").pk
        )
        yield partial(say, talk)
    finally:
        call_command("migrate", "chat", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_messages_of_an_older_database_are_found_after_its_migration() -> None:
    with of_an_older_database("0004_message_revivals") as said:
        old, opened = said("An old GLOCKENSPIEL"), said("half a glock", "streaming")
    talk = Conversation.objects.get()
    assert words.matching(talk.owner_id, ["glockenspiel"], 9) == [old.pk]
    new = say(talk, "A new glockenspiel")
    Message.objects.filter(pk=opened.pk).update(status="complete")
    assert words.matching(talk.owner_id, ["glock"], 9) == [new.pk, opened.pk, old.pk]


@pytest.mark.django_db(transaction=True)
def test_terms_that_did_not_name_their_owner_yet_do_so_after_the_migration() -> None:
    with of_an_older_database("0006_continued_at") as said:
        old = said("@ Glockenspiel")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                before = ["@", f"@{old.conversation.owner_id}", "GLOCKENSPIEL"]
                cursor.execute("UPDATE chat_message SET words = array_to_tsvector(%s)", [before])
    owner = old.conversation.owner_id
    assert words.matching(owner, ["@", "glock"], 9) == [old.pk]
    assert _indexed(old) == {"@", "GLOCKENSPIEL"}


def _indexed(message: Message) -> set[str]:
    """What the index has of a message; whose it is stands with each term, or once among them."""
    owner = message.conversation.owner_id
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT terms FROM chat_words WHERE rowid = %s", [message.pk])
            *found, mark = cursor.fetchone()[0].upper().split()
            assert mark == f"_O{owner}"
            return {each.replace("_40", "@") for each in found}
        cursor.execute("SELECT tsvector_to_array(words) FROM chat_message WHERE id = %s", [message.pk])
        found = cursor.fetchone()[0]
    assert all(each.startswith(f"{owner}/") for each in found)
    return {each.removeprefix(f"{owner}/") for each in found}


def test_a_change_of_the_tables_leaves_the_triggers(ada: User, talk: Conversation) -> None:
    """SQLite makes a table anew for most changes of it, and loses its triggers."""
    before = _triggers()
    assert before
    with connection.cursor() as cursor:
        for name in before if connection.vendor == "sqlite" else ():
            cursor.execute(f"DROP TRIGGER {name}")
    call_command("migrate", verbosity=0)
    assert _triggers() == before


def _triggers() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
            if connection.vendor == "sqlite"
            else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname"
        )
        return [name for (name,) in cursor.fetchall()]
