"""A million messages and the index of their words, which the database itself makes of some thousand different ones.

    write(talks, models)

Each message repeats one of those, with a number, a parent and a time of its own.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection

from bench.size_tables import bare
from chat import words
from chat.models import Message

DIFFERENT = 4000  # messages of people, and as many replies
SYLLABLES = (
    "ba",
    "ke",
    "li",
    "mo",
    "nu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
    "pla",
    "gri",
    "stro",
    "fen",
    "dal",
    "quo",
)
USAGE = {"prompt_tokens": 900, "completion_tokens": 80}
OWN = {
    "id",
    "conversation_id",
    "parent_id",
    "client_id",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
}
REPEATED = [each for each in Message._meta.concrete_fields if each.attname not in OWN]


@dataclass(frozen=True)
class Talk:
    """A conversation to be made: its messages have the ids from `first` on, and are a second apart."""

    id: uuid.UUID
    owner: int
    first: int
    messages: int
    begun: datetime

    @property
    def ended(self) -> datetime:
        return self.begun + timedelta(seconds=self.messages)


_FROM = f"""FROM seed_talks t CROSS JOIN seed_places p CROSS JOIN seed_messages m
  WHERE p.place < t.messages AND m.number = (t.first + p.place) * 7 % {DIFFERENT} * 2 + p.place % 2"""
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', t.begun, '+' || p.place || ' seconds') || substr(t.begun, 20)",
    "postgresql": "t.begun + p.place * interval '1 second'",
}


def write(talks: Sequence[Talk], models: Sequence[str]) -> None:
    """Write the messages of the talks, whose conversations are there, and the index of their words."""
    on_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        _make_temporary(cursor, talks, models)
        names = ", ".join(each.attname for each in REPEATED)
        copied = ", ".join(f"m.{each.attname}" for each in REPEATED)
        moment = _MOMENT[connection.vendor]
        ended = f"CASE WHEN m.role = 'assistant' THEN {moment} END"
        with bare(cursor, "chat_message"):
            cursor.execute(
                f"""INSERT INTO chat_message (id, conversation_id, parent_id, client_id, created_at,
                    queued_at, started_at, finished_at, {names} {", words" if on_postgres else ""})
                  SELECT t.first + p.place, t.id, CASE WHEN p.place > 0 THEN t.first + p.place - 1 END, p.client_id,
                    {moment}, {ended}, {ended}, {ended}, {copied}
                    {", gantry_owned(tsvector_to_array(m.terms), t.owner)" if on_postgres else ""} {_FROM}"""
            )
            if not on_postgres:
                cursor.execute(
                    f"""INSERT INTO chat_words(rowid, terms)
                      SELECT t.first + p.place, m.terms || ' _o' || t.owner {_FROM}"""
                )
        for name in ("talks", "places", "messages"):
            cursor.execute(f"DROP TABLE seed_{name}")


def _make_temporary(cursor: Any, talks: Sequence[Talk], models: Sequence[str]) -> None:
    """Three tables, of which one SELECT makes all messages: talks, places in a talk, and the messages that repeat."""
    on_postgres = connection.vendor == "postgresql"
    names = ", ".join(each.attname for each in REPEATED)
    columns = {
        "talks": "conversation_id AS id, id AS owner, id AS first, id AS messages, created_at AS begun",
        "places": "id AS place, client_id",
        "messages": f"id AS number, {'words' if on_postgres else 'text'} AS terms, {names}",
    }
    begun, identity = Message._meta.get_field("created_at"), Message._meta.get_field("client_id")
    longest = max(each.messages for each in talks)
    rows: dict[str, Iterable[tuple[Any, ...]]] = {
        "talks": (
            (_ready(identity, each.id), each.owner, each.first, each.messages, _ready(begun, each.begun))
            for each in talks
        ),
        "places": (  # a person's messages are at even ones
            (place, None if place % 2 else _ready(identity, uuid.UUID(int=place + 1)))
            for place in range(longest)
        ),
        "messages": _repeated(tuple(models), connection.vendor),
    }
    for name, made in columns.items():
        cursor.execute(f"CREATE TEMPORARY TABLE seed_{name} AS SELECT {made} FROM chat_message WHERE id = 0")
        marks = ", ".join(["%s"] * (made.count(",") + 1))
        cursor.executemany(f"INSERT INTO seed_{name} VALUES ({marks})", rows[name])
    cursor.execute("CREATE UNIQUE INDEX seed_place ON seed_places (place)")
    cursor.execute("CREATE UNIQUE INDEX seed_number ON seed_messages (number)")
    if on_postgres:
        cursor.execute("ANALYZE seed_talks, seed_places, seed_messages")


@lru_cache(maxsize=1)
def _repeated(models: Sequence[str], vendor: str) -> list[tuple[Any, ...]]:
    """The messages that repeat, as rows for this database. They are the same whenever they are made."""
    return [
        (number, _terms(each.text), *(_ready(field, getattr(each, field.attname)) for field in REPEATED))
        for number, each in enumerate(_messages(models, random.Random(11)))
    ]


def _ready(field: Any, value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


def _terms(text: str) -> str:
    """What the index has of a text, but for its owner."""
    if connection.vendor == "sqlite":
        return words.index_terms(text)
    return " ".join(sorted({f"'{term.upper()}'" for term in words.terms(text)}))


def _messages(models: Sequence[str], chance: random.Random) -> Iterator[Message]:
    """DIFFERENT times a person's message and a reply."""
    known = _vocabulary(chance)
    for number in range(DIFFERENT):
        yield Message(role="user", status="complete", text=_text(known, 12, chance))
        text = _text(known, 60, chance)
        yield Message(
            role="assistant", status="complete", revision=2, text=text, html=f"<p>{text}</p>\n",
            model=models[number % len(models)], usage=USAGE, finish_reason="stop", origin="host:1:abc",
        )  # fmt: skip


def _vocabulary(chance: random.Random) -> list[str]:
    made = {"".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(30_000)}
    return ["the", "and", "of", "größe", "Äpfel", *sorted(made)]


def _text(known: Sequence[str], length: int, chance: random.Random) -> str:
    """Common words are common: a quarter of all are the first five."""
    rank = (chance.random() ** 3 for _ in range(length))
    return " ".join(
        chance.choice(known[:5]) if chance.random() < 0.25 else known[int(r * len(known))] for r in rank
    )
