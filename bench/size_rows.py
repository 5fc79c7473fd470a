"""A database of a size that Gantry may come to in years: a million messages, a hundred thousand switches.

    seed(Size())

Everything is made anew each time with the same words, so that two runs can be compared. Most conversations are short; the
reader, who is the administrator that the measurements ask as, has more of them than others, and a very long one.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone
from psycopg.types.json import Jsonb

from chat import words
from chat.models import Conversation, Message
from models_admin.models import Load, Switch, TabbyModel, Token, Wish, WishState

READER = "reader"
BEGUN = timedelta(days=700)  # ago
SYLLABLES = [
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
]


@dataclass(frozen=True)
class Size:
    """How much there is. A tenth of the messages are the reader's, and `long` more in one conversation."""

    messages: int = 1_000_000
    switches: int = 100_000
    users: int = 200
    turns: int = 48  # messages of a conversation
    long: int = 20_000  # messages of the reader's longest conversation
    models: int = 20
    tokens: int = 500
    wishes: int = 1_000


def seed(size: Size) -> User:
    """Fill an empty database, and return the reader: a superuser."""
    chance = random.Random(11)
    with transaction.atomic():
        people = _people(size)
        models = [f"model-{number}-{(7, 13, 34, 70)[number % 4]}B" for number in range(size.models)]
        TabbyModel.objects.bulk_create(TabbyModel(name=name, last_loaded=timezone.now()) for name in models)
        talks = list(_talks(size, people))
        _insert(Conversation, TALK, (_talk(each) for each in talks))
        _write_messages(talks, models, chance)
        _set_heads()
        _insert(Switch, SWITCH, _switches(size, people, models, chance))
        _insert(Load, LOAD, _loads(size, models))
        _insert(LogEntry, ENTRY, _entries(size, people, ContentType.objects.get_for_model(Switch).pk))
        _small_things(size, people, models)
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [Message, Switch]):
            cursor.execute(sql)
    if connection.vendor == "postgresql":  # where that happens by itself, but a minute later
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return User.objects.get(username=READER)


def _people(size: Size) -> list[int]:
    reader = User.objects.create_superuser(READER, password="!")
    User.objects.bulk_create(User(username=f"person-{number}") for number in range(1, size.users))
    others = User.objects.filter(username__startswith="person-").order_by("pk")
    return [reader.pk, *others.values_list("pk", flat=True)]


@dataclass(frozen=True)
class Talk:
    """A conversation to be made: its messages have the ids from `first` on."""

    id: uuid.UUID
    owner: int
    first: int
    messages: int
    begun: datetime

    @property
    def ended(self) -> datetime:
        return self.begun + timedelta(seconds=self.messages)


def _talks(size: Size, people: Sequence[int]) -> Iterator[Talk]:
    """The conversations, the longest first; each tenth is the reader's."""
    lengths = [size.long] if size.long else []
    lengths += [size.turns] * ((size.messages - size.long) // size.turns)
    first, start = 1, timezone.now() - BEGUN
    step = (BEGUN - timedelta(days=1)) / (len(lengths) + 1)
    for number, length in enumerate(lengths):
        owner = people[0] if number % 10 == 0 else people[1 + number % (len(people) - 1)]
        yield Talk(uuid.UUID(int=number + 1), owner, first, length, start + number * step)
        first += length


TALK = ("id", "owner_id", "title", "pinned", "system_prompt", "created_at", "updated_at")


def _talk(each: Talk) -> tuple[Any, ...]:
    return (each.id, each.owner, f"About {each.first:x}", False, "", each.begun, each.ended)


MESSAGE = (
    "id", "conversation_id", "parent_id", "role", "status", "revision", "client_id", "text", "reasoning", "html",
    "model", "handovers", "usage", "finish_reason", "error", "error_kind", "origin", "left_out", "attempts",
    "created_at", "queued_at", "started_at", "finished_at",
)  # fmt: skip


def _write_messages(talks: Sequence[Talk], models: Sequence[str], chance: random.Random) -> None:
    """The messages and the index of their words, which are the same few thousand texts: no trigger looks into each."""
    rows = _messages(talks, models, chance)
    owners = {talk.id: talk.owner for talk in talks}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE chat_message DISABLE TRIGGER USER; DROP INDEX chat_message_words")
            _insert(Message, (*MESSAGE, "words"), ((*row, _vector(row[7], owners[row[1]])) for row in rows))
            cursor.execute(
                "SET CONSTRAINTS ALL IMMEDIATE"
            )  # no table is altered while checks of it are still to come
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            cursor.execute("CREATE INDEX chat_message_words ON chat_message USING gin (words)")
            cursor.execute("ALTER TABLE chat_message ENABLE TRIGGER USER")
        else:
            words.drop_triggers(cursor)
            _insert(Message, MESSAGE, rows)
            put = "INSERT INTO chat_words(rowid, terms) VALUES (?, ?)"
            indexed = ((pk, f"{_indexed(text)} _o{owners[talk]}") for pk, talk, text in _said(talks))
            cursor.connection.executemany(put, indexed)
            words.make_triggers(connection)


def _said(talks: Sequence[Talk]) -> Iterator[tuple[int, uuid.UUID, str]]:
    """Of each message its number, conversation and text, read again a conversation at a time."""
    with connection.cursor() as cursor:
        for talk in talks:
            last = talk.first + talk.messages - 1
            cursor.execute("SELECT id, text FROM chat_message WHERE id BETWEEN %s AND %s", [talk.first, last])
            yield from ((pk, talk.id, text) for pk, text in cursor.fetchall())


@lru_cache(maxsize=20_000)
def _indexed(text: str) -> str:
    return words.row(text)


@lru_cache(maxsize=20_000)
def _lexemes(text: str) -> str:
    return " ".join(sorted({f"'{term.upper()}'" for term in words.terms(text)}))


def _vector(text: str, owner: int) -> str:
    return f"'@{owner}' {_lexemes(text)}"


def _vocabulary(chance: random.Random) -> list[str]:
    made = {"".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(30_000)}
    return ["the", "and", "of", "größe", "Äpfel", *sorted(made)]


def _messages(
    talks: Iterable[Talk], models: Sequence[str], chance: random.Random
) -> Iterator[tuple[Any, ...]]:
    known = _vocabulary(chance)
    # Some thousand texts are made and used again and again: making a million of them takes longer than writing them.
    asked = [_text(known, 12, chance) for _ in range(4000)]
    answered = [_text(known, 60, chance) for _ in range(8000)]
    for talk in talks:
        for place in range(talk.messages):
            pk, at = talk.first + place, talk.begun + timedelta(seconds=place)
            parent = pk - 1 if place else None
            if place % 2 == 0:
                text = asked[pk * 7 % 4000]
                yield (
                    pk, talk.id, parent, "user", "complete", 0, uuid.UUID(int=pk), text, "", "",
                    "", [], None, "", "", "", "", 0, 0, at, None, None, None,
                )  # fmt: skip
            else:
                text = answered[pk * 7 % 8000]
                usage = {"prompt_tokens": 900, "completion_tokens": 80}
                yield (
                    pk, talk.id, parent, "assistant", "complete", 2, None, text, "", f"<p>{text}</p>\n",
                    models[pk % len(models)], [], usage, "stop", "", "", "host:1:abc", 0, 0, at, at, at, at,
                )  # fmt: skip


def _text(known: Sequence[str], length: int, chance: random.Random) -> str:
    """Common words are common: a quarter of all are the first five."""
    rank = (chance.random() ** 3 for _ in range(length))
    return " ".join(
        chance.choice(known[:5]) if chance.random() < 0.25 else known[int(r * len(known))] for r in rank
    )


def _set_heads() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_conversation SET head_id = "
            "(SELECT MAX(m.id) FROM chat_message m WHERE m.conversation_id = chat_conversation.id)"
        )


SWITCH = (
    "id", "target", "previous", "options", "previous_options", "source", "requested_by_id", "cause_id", "rule",
    "only_if_idle", "drain_seconds", "state", "percent", "detail", "owner", "heartbeat", "created_at", "started_at",
    "finished_at", "state_since", "seconds", "replies_cut", "error", "error_kind", "advice", "result", "slot",
)  # fmt: skip
ASKED_FROM = ("admin", "api", "command", "rule")


def _switches(
    size: Size, people: Sequence[int], models: Sequence[str], chance: random.Random
) -> Iterator[tuple[Any, ...]]:
    """The history: of twenty switches one fails, followed by its rollback, one is cancelled, one came from outside."""
    step, now = BEGUN / (size.switches + 1), timezone.now()
    for number in range(size.switches):
        at = now - BEGUN + number * step
        target, previous = models[number % len(models)], models[(number - 1) % len(models)]
        state, source, cause, error, result = "succeeded", ASKED_FROM[number % 4], None, "", target
        match number % 20:
            case 5:
                state, error, result = "failed", "Insufficient VRAM for model and cache.", previous
            case 6:
                target, source, cause = previous, "rollback", number  # the one before it
            case 7:
                state, error, result = "cancelled", "Cancelled by somebody.", previous
            case 8:
                source = "outside"
            case 9:
                target = result = ""
        seconds = {
            "queued": 0.1,
            "draining": 1.5,
            "unloading": 2.0,
            "loading": round(chance.uniform(8, 40), 3),
        }
        options = {"max_seq_len": 8192, "cache_mode": "Q8"} if number % 3 == 0 else {}
        yield (
            number + 1, target, previous, options, {}, source, people[number % len(people)], cause, "", False, 20.0,
            state, 100, "", "host:1:abc", at, at, at, at, at, seconds, number % 3, error, "oom" if error else "",
            "", result, 1,
        )  # fmt: skip


LOAD = ("switch_id", "back", "model", "options", "sent_at", "ended_at")


def _loads(size: Size, models: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Each switch has asked for a load that has ended."""
    step, now = BEGUN / (size.switches + 1), timezone.now()
    for number in range(size.switches):
        at = now - BEGUN + number * step
        yield (number + 1, False, models[number % len(models)], {}, at, at)


ENTRY = (
    "action_time",
    "user_id",
    "content_type_id",
    "object_id",
    "object_repr",
    "action_flag",
    "change_message",
)


def _entries(size: Size, people: Sequence[int], kind: int) -> Iterator[tuple[Any, ...]]:
    """The admin log has an entry for each switch."""
    step, now = BEGUN / (size.switches + 1), timezone.now()
    for number in range(size.switches):
        at, who = now - BEGUN + number * step, people[number % 5 and number % len(people)]
        yield (at, who, kind, str(number + 1), "switch", CHANGE, "a → b, succeeded")


def _small_things(size: Size, people: Sequence[int], models: Sequence[str]) -> None:
    now = timezone.now()
    Token.objects.bulk_create(
        Token(user_id=people[n % len(people)], name=f"token {n}", scopes=["read"], digest=f"{n:064x}")
        for n in range(size.tokens)
    )
    Wish.objects.bulk_create(
        Wish(
            user_id=people[n % len(people)], target=models[n % len(models)], state=WishState.GRANTED,
            asked_at=now - timedelta(days=80), ended_at=now - timedelta(days=80), changed_at=now - timedelta(days=80),
        )
        for n in range(size.wishes)
    )  # fmt: skip


def _insert(model: type[Model], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write the rows in the fastest way that the database has: Django's own takes minutes for a million."""
    table = connection.ops.quote_name(model._meta.db_table)
    others = [
        each for each in model._meta.concrete_fields if each.attname not in (*columns, "id") and not each.null
    ]
    defaults = tuple(each.get_default() for each in others)
    names = ", ".join((*columns, *(each.attname for each in others)))
    on_postgres = connection.vendor == "postgresql"
    plain: dict[type, Callable[[Any], Any]] = {dict: Jsonb, list: Jsonb} if on_postgres else AS_SQLITE_HAS_IT
    ready = (tuple(plain[type(v)](v) if type(v) in plain else v for v in (*row, *defaults)) for row in rows)
    with connection.cursor() as cursor:
        if on_postgres:
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in ready:
                    copy.write_row(row)
        else:
            marks = ", ".join(["?"] * (len(columns) + len(others)))
            cursor.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", ready)


@lru_cache(maxsize=64)
def _moment(value: datetime) -> str:
    return str(value.replace(tzinfo=None))


AS_SQLITE_HAS_IT: dict[type, Callable[[Any], Any]] = {
    datetime: _moment,
    uuid.UUID: lambda value: value.hex,
    dict: json.dumps,
    list: json.dumps,
}
