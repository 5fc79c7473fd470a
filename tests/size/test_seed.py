"""The database that is measured is one that Gantry itself could have written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection

from bench.size_rows import Size, seed
from chat import words
from chat.models import Conversation, Message

INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
CASTS = re.compile(r"::(character varying|text)(\[\])?|[()]")
FEW = Size(messages=300, switches=40, users=5, long=101, turns=7, tokens=5, requests=5, models=3)


@pytest.fixture
def before(db: None) -> list[Any]:
    """What the tables have, before they are filled."""
    found = made()
    seed(FEW)
    return found


def asked(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return sorted(cursor.fetchall())


def made() -> list[Any]:
    """All indexes, keys and triggers."""
    if connection.vendor == "sqlite":
        return asked("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return [
        # PostgreSQL writes the casts of a condition in another way when it is given what it wrote itself.
        *((table, CASTS.sub("", made)) for table, made in asked(INDEXES)),
        *asked("SELECT conrelid, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint"),
        *asked("SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal"),
    ]


def test_what_was_put_aside_is_made_again(before: list[Any]) -> None:
    assert made() == before


def test_the_index_has_the_words_of_each_message_as_the_triggers_have_them(before: list[Any]) -> None:
    read = "SELECT rowid, terms FROM chat_words" if connection.vendor == "sqlite" else (
        "SELECT id, words FROM chat_message"
    )  # fmt: skip
    seeded = asked(read)
    assert len(seeded) == Message.objects.count()
    for message in Message.objects.all():
        Message.objects.filter(pk=message.pk).update(status="queued")
        Message.objects.filter(pk=message.pk).update(status="complete")
    assert asked(read) == seeded
    found = words.matching(Conversation.objects.order_by("pk")[0].owner_id, ["GRÖSSE"], 5)
    assert len(found) == 5


def test_conversations_are_chains_of_questions_and_replies(before: list[Any]) -> None:
    longest, *others = Conversation.objects.order_by("pk")
    assert longest.messages.count() == FEW.long
    assert {each.messages.count() for each in others} == {FEW.turns}
    for talk in (longest, *others):
        said = list(talk.messages.all())
        assert talk.head_id == said[-1].pk
        assert [each.parent_id for each in said] == [None, *(each.pk for each in said[:-1])]
        assert [each.role for each in said] == (["user", "assistant"] * len(said))[: len(said)]
        assert [(each.created_at - talk.created_at).total_seconds() for each in said] == list(
            range(len(said))
        )
        for each in said:
            asked_by_page = each.role == "user"
            assert (each.client_id is not None) == (each.finished_at is None) == asked_by_page
            assert each.text
