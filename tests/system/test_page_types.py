"""The types of the pages' scripts are made from the schema, and what checks events against it finds each difference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import page_types, schema_checks

BLOCK = {"type": "block", "id": 1, "upto": 3, "html": "<p>"}
TEXT = {"type": "delta", "id": 1, "offset": 3, "text": "and"}
REFUSAL = {"type": "error", "code": "empty", "detail": "Nothing to send."}
CHAT = "/ws/chat/11111111-2222-4333-8444-555555555555/"


def test_the_types_of_the_pages_scripts_are_up_to_date() -> None:
    assert page_types.FILE.read_text() == page_types.written(), "`make types` writes them anew"


@pytest.mark.parametrize("event", [BLOCK, TEXT, {"type": "pong"}, REFUSAL, {**REFUSAL, "client_id": "x"}])
def test_what_is_described_passes(event: dict[str, Any]) -> None:
    assert schema_checks.event(json.dumps(event), CHAT) == event


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"type": "news"}, "nothing is described"),
        ({**BLOCK, "more": 1}, "more"),
        ({**BLOCK, "upto": "3"}, "upto"),
        ({**BLOCK, "upto": None}, "upto"),
        ({"type": "block", "id": 1, "upto": 3}, "html"),
        ({**TEXT, "reasoning": "and"}, "reasoning"),
        ({"type": "delta", "id": 1, "offset": 3}, "text"),
        ({**REFUSAL, "client_id": None}, "client_id"),
        ({"type": "conversation", "conversation": {"id": "x", "title": "y"}}, "conversation.system_prompt"),
    ],
)
def test_what_is_not_described_is_found(event: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        schema_checks.event(json.dumps(event), CHAT)


def test_each_socket_has_events_of_its_own() -> None:
    with pytest.raises(AssertionError, match="nothing is described"):
        schema_checks.event(json.dumps(BLOCK), "/ws/models/")
    with pytest.raises(AssertionError, match="client_id"):
        schema_checks.event(json.dumps({**REFUSAL, "client_id": "x"}), "/ws/models/")


def test_an_answer_that_the_api_never_gives_is_found() -> None:
    path = "/api/conversations"
    schema_checks.answer("POST", path, 201, {"id": "1", "title": "x"})
    schema_checks.answer("POST", path, 507, {"detail": "The disk is full."})
    for status, body in ((200, {"id": "1", "title": "x"}), (201, {"id": "1"}), (507, {})):
        with pytest.raises(AssertionError):
            schema_checks.answer("POST", path, status, body)


@pytest.mark.parametrize(
    "frame", [{"type": "stop"}, {"type": "send", "text": "x"}, {"type": "dance", "id": 1}]
)
def test_a_frame_that_the_server_does_not_take_is_found(frame: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        schema_checks.frame(json.dumps(frame))
