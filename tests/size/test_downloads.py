"""Long files are sent while they are made: some rows at a time, and no faster than the reader takes them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from support.plans import asked

from chat import conversations
from chat.models import Conversation, Message
from models_admin.downloads import BATCH, Download
from models_admin.models import Switch


@pytest.mark.django_db(transaction=True)  # its threads look after their connections
async def test_a_part_is_made_when_the_one_before_is_taken() -> None:
    made: list[int] = []

    def parts() -> Iterator[str]:
        for number in range(3):
            made.append(number)
            yield f"{number}\n"

    taken = aiter(Download("numbers.txt", parts(), "text/plain"))
    assert await anext(taken) == b"0\n"
    assert made == [0]
    assert [part async for part in taken] == [b"1\n", b"2\n"]


@pytest.mark.parametrize("kind", ["csv", "md", "json"])
def test_a_long_file_is_read_some_rows_at_a_time(client: Client, reader: User, kind: str) -> None:
    client.force_login(reader)
    longest = Conversation.objects.order_by("pk")[0]
    path = {"csv": "/admin/models_admin/switch/export/"}.get(
        kind, f"/api/conversations/{longest.pk}/export.{kind}"
    )
    with asked() as queries:
        answer = client.get(path)
        asked_before = len(queries)
        parts = [part.decode() for part in answer]
    assert answer.streaming
    rows = Switch.objects.count() if kind == "csv" else longest.messages.count()
    at_once = BATCH if kind == "csv" else 20
    assert len(parts) >= rows / at_once
    assert max(map(len, parts)) < len("".join(parts)) / 2 or rows <= at_once
    assert asked_before < 12
    each = 2 if kind == "json" else 1  # messages, and what is said of them
    assert len(queries) < asked_before + 5 + each * rows / at_once
    check_whole("".join(parts), kind, rows)


@pytest.mark.parametrize("gone", [slice(20, 40), slice(20, 50), slice(25, 45), slice(40, 50)])
def test_messages_that_are_deleted_meanwhile_leave_an_export_that_can_be_read(db: None, gone: slice) -> None:
    talk = Conversation.objects.create(owner=User.objects.create_user("ada"))
    for number in range(50):
        talk.messages.create(role="user", status="complete", text=f"{number}")
    numbers = list(talk.messages.values_list("pk", flat=True))
    parts = conversations.document(talk)
    taken = next(parts) + next(parts)  # the beginning, and the first messages
    Message.objects.filter(pk__in=numbers[gone]).delete()
    del numbers[gone]
    assert [each["id"] for each in json.loads(taken + "".join(parts))["messages"]] == numbers


def check_whole(text: str, kind: str, rows: int) -> None:
    if kind == "csv":
        numbers = [int(row["number"]) for row in csv.DictReader(text.splitlines())]
        assert numbers == list(range(rows, 0, -1))
    elif kind == "md":
        assert text.count("\n\n## ") == rows
    else:
        assert len(json.loads(text)["messages"]) == rows
