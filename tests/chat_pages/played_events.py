"""What a played server says: backends, conversations, messages."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from chat.rendering import render

HERE = "11111111-2222-4333-8444-555555555555"
TITLE = "Looms and cards"
SETTINGS = {"alias": "", "system_prompt": "", "temperature": None, "max_tokens": None}
LLAMA = "Llama-3.1-8B-Instruct"
QWEN = "Qwen2.5-Coder-7B-Instruct"

READY: dict[str, Any] = {
    "type": "backend",
    "state": "ready",
    "model": LLAMA,
    "about": None,
    "loaded_at": None,
    "context": 8192,
    "parameters": {},
    "options": {},
    "differences": [],
    "unreachable_since": None,
    "trouble": "",
    "advice": "",
    "findings": [],
    "healthy": True,
    "worker": True,
    "replying": 0,
    "busy_with": "",
    "epoch": 1,
    "switch": None,
    "last": None,
}
UNLOADED = {**READY, "state": "unloaded", "model": ""}
UNREACHABLE = {**READY, "state": "unreachable", "unreachable_since": "2026-11-23T07:01:00+00:00"}


def switching(state: str = "loading", percent: int = 57, **fields: Any) -> dict[str, Any]:
    """The backend in the middle of a switch from Llama to Qwen."""
    return {**READY, "state": "switching", "switch": switch(state, percent, **fields)}


def switch(state: str, percent: int = 0, **fields: Any) -> dict[str, Any]:
    """A switch from Llama to Qwen."""
    return {
        "id": 7,
        "kind": "switch",
        "state": state,
        "target": QWEN,
        "previous": LLAMA,
        "step": 2,
        "steps": 2,
        "percent": percent,
        "detail": "",
        "eta_seconds": 12,
        "elapsed_seconds": 3.0,
        "by": "",
        "source": "admin",
        "rule": "",
        "error": "",
        "error_kind": "",
        "advice": "",
        "result": None,
        "standing": "",
        "cancel_requested": False,
        "force": False,
        "skip_checks": False,
        "file_notes": [],
        "replies_cut": 0,
        "seconds": {},
        "options": {},
        "parameters": {},
        "differences": [],
        "created_at": "2026-11-23T07:00:00+00:00",
        "finished_at": None,
        "lines": [],
        **fields,
    }


def details(number: str, title: str, **fields: Any) -> dict[str, Any]:
    """A row of the conversation list, with the settings."""
    return listed(number, title, **SETTINGS, **fields)


def listed(number: str, title: str, **fields: Any) -> dict[str, Any]:
    """A row of the conversation list."""
    now = timezone.now().isoformat()
    return {"id": number, "title": title, "pinned": False, "updated_at": now, **fields}


def hello(*messages: dict[str, Any], state: dict[str, Any] = READY, earlier: bool = False) -> dict[str, Any]:
    """What the socket of a conversation is told first."""
    return {
        **models_hello(state),
        "conversation": conversation(HERE, TITLE),
        "messages": list(messages),
        "earlier": earlier,
    }


def models_hello(state: dict[str, Any] = READY) -> dict[str, Any]:
    """What the socket of a page without a conversation is told first."""
    return {"type": "hello", "account": 1, "backend": state}


def conversation(number: str, title: str) -> dict[str, Any]:
    """A conversation and its settings."""
    return {"id": number, "title": title, **SETTINGS}


def asked(number: int, text: str, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A person's message."""
    return _message(number, "user", text, parent) | fields


def replied(number: int, text: str, parent: int, **fields: Any) -> dict[str, Any]:
    """A reply that has ended well."""
    usage = {"prompt_tokens": 9, "completion_tokens": 1312, "total_tokens": 1321}
    usage |= {"tokens_per_second": 41.23, "seconds": 7.57}
    made = _message(number, "assistant", text, parent)
    return made | {"html": render(text), "upto": len(text), "model": LLAMA, "usage": usage} | fields


def streaming(number: int, text: str, parent: int, **fields: Any) -> dict[str, Any]:
    """A reply that is being written, none of whose text is in a block yet."""
    return _message(number, "assistant", text, parent) | {"status": "streaming", "model": LLAMA} | fields


def queued(number: int, parent: int, **fields: Any) -> dict[str, Any]:
    made = _message(number, "assistant", "", parent) | {"status": "queued", "queue_position": 1}
    return made | fields


def message(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "message": row}


def delta(number: int, offset: int, text: str) -> dict[str, Any]:
    return {"type": "delta", "id": number, "offset": offset, "text": text}


def block(number: int, upto: int, html: str) -> dict[str, Any]:
    return {"type": "block", "id": number, "upto": upto, "html": html}


def _message(number: int, role: str, text: str, parent: int | None) -> dict[str, Any]:
    return {
        "id": number,
        "revision": 1,
        "client_id": None,
        "parent": parent,
        "role": role,
        "status": "complete",
        "text": text,
        "html": "",
        "upto": 0,
        "reasoning": "",
        "reasoning_seconds": None,
        "model": "",
        "handovers": [],
        "queue_position": None,
        "usage": None,
        "finish_reason": "",
        "continuable": False,
        "left_out": 0,
        "error": "",
        "error_kind": "",
        "created_at": "2026-11-23T07:00:00+00:00",
        "versions": {"index": 1, "count": 1, "ids": [number]},
        "feedback": None,
        "compared_with": None,
        "better": None,
    }
