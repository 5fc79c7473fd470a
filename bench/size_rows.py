"""A database of a size that Gantry may come to in years: a million messages, a hundred thousand switches.

    seed(Size())

Everything is made anew each time with the same words, so that two runs can be compared. Most conversations are short; the
reader, who is the administrator that the measurements ask as, has more of them than others, and a very long one.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone

from bench import size_messages
from bench.size_messages import Talk
from bench.size_tables import insert
from chat.models import Conversation, Message
from models_admin.models import Load, ModelRequest, RequestState, Switch, TabbyModel, Token
from models_admin.servers import known, state_row

READER = "reader"
BEGUN = timedelta(days=700)  # ago


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
    requests: int = 1_000


def seed(size: Size) -> User:
    """Fill an empty database, and return the reader: a superuser."""
    chance = random.Random(11)
    with transaction.atomic():
        people = _people(size)
        models = [f"model-{number}-{(7, 13, 34, 70)[number % 4]}B" for number in range(size.models)]
        TabbyModel.objects.bulk_create(TabbyModel(name=name, last_loaded=timezone.now()) for name in models)
        talks = list(_talks(size, people))
        insert(Conversation, TALK, (_talk(each) for each in talks))
        size_messages.write(talks, models)
        _set_heads()
        state_row.row(known.default())
        insert(Switch, SWITCH, _switches(size, people, models, chance))
        insert(Load, LOAD, _loads(size, models))
        insert(LogEntry, ENTRY, _entries(size, people, ContentType.objects.get_for_model(Switch).pk))
        _small_things(size, people, models)
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [Message, Switch]):
            cursor.execute(sql)
    if connection.vendor == "postgresql":  # where that happens by itself, but a minute later
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return User.objects.get(username=READER)


def _set_heads() -> None:
    """Have the last message of each conversation be its head."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_conversation SET head_id = "
            "(SELECT MAX(m.id) FROM chat_message m WHERE m.conversation_id = chat_conversation.id)"
        )


def _people(size: Size) -> list[int]:
    reader = User.objects.create_superuser(READER, password="!")
    User.objects.bulk_create(User(username=f"person-{number}") for number in range(1, size.users))
    others = User.objects.filter(username__startswith="person-").order_by("pk")
    return [reader.pk, *others.values_list("pk", flat=True)]


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


TALK = ("id", "owner_id", "title", "pinned", "alias", "system_prompt", "created_at", "updated_at")


def _talk(each: Talk) -> tuple[Any, ...]:
    return (each.id, each.owner, f"About {each.first:x}", False, "", "", each.begun, each.ended)


SWITCH = (
    "id", "target", "previous", "options", "previous_options", "source", "requested_by_id", "cause_id", "rule",
    "only_if_idle", "drain_seconds", "state", "percent", "detail", "owner", "heartbeat", "created_at", "started_at",
    "finished_at", "state_since", "seconds", "replies_cut", "error", "error_kind", "advice", "result", "server_id",
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
            "", result, known.default(),
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
    ModelRequest.objects.bulk_create(
        ModelRequest(
            user_id=people[n % len(people)], target=models[n % len(models)], state=RequestState.GRANTED,
            asked_at=now - timedelta(days=80), ended_at=now - timedelta(days=80), changed_at=now - timedelta(days=80),
        )
        for n in range(size.requests)
    )  # fmt: skip
