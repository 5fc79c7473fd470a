"""Reads the words of an error, in each form that TabbyAPI, or another server in its place, sends."""

from __future__ import annotations

from typing import Any

import orjson

MAX_ISSUES = 20


def error_words(answer: Any) -> str | None:
    """Return the words of an error in any form that TabbyAPI has; None where `answer` is no error.

    The forms: `{"detail": "…"}`, `{"detail": [{"loc": […], "msg": "…"}, …]}`, `{"error": {"message": "…"}}`,
    `{"error": "…"}`.
    """
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if error:
        return as_text(error.get("message")) if isinstance(error, dict) else as_text(error)
    detail = answer.get("detail")
    if isinstance(detail, list):
        return "; ".join(_problem(item) for item in detail[:MAX_ISSUES])
    return None if detail is None else as_text(detail)


def words_of_body(body: bytes) -> tuple[str, str]:
    """Return (words, code) of an error's body: from JSON, or the plain text itself; ('', '') for HTML and binary."""
    try:
        answer = orjson.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") or "\ufffd" in text else text), ""
    words = error_words(answer)
    error = answer.get("error") if isinstance(answer, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return (answer if isinstance(answer, str) else words or ""), (code if isinstance(code, str) else "")


def _problem(item: Any) -> str:
    if not isinstance(item, dict):
        return as_text(item)
    loc = item.get("loc")
    where = (
        ".".join(as_text(part) for part in loc[:MAX_ISSUES] if part != "body")
        if isinstance(loc, list)
        else ""
    )
    return f"{where}: {as_text(item.get('msg', ''))}".removeprefix(": ")


def as_text(value: Any) -> str:
    """Return a value that should be a text as one: None as '', anything else as its JSON."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else orjson.dumps(value).decode()
    except TypeError:  # nested too deep, or a number or a text that JSON cannot hold
        return "(words that cannot be shown)"
