"""What a check may hold: the bounds of each field, checked wherever one is written."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from models_admin.aliases import sampling
from models_admin.checks import patterns

MOST_CHECKS = 50
LONGEST_PROMPT = 20_000  # characters
LONGEST_LINES = 2_000  # characters of texts to be contained, or not
MOST_TOOLS = 20_000  # bytes of JSON
MOST_IMAGE = 1_000_000  # characters of a data: URL
LONGEST_ANSWER = 4_096  # tokens
_IMAGES = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,")


def options(given: Any) -> dict[str, float]:
    """Return sampling options as they are sent. Raises ValueError, whose text says what is wrong."""
    if not isinstance(given, dict):
        raise ValueError('Sampling options are an object such as {"temperature": 0}.')
    found = sampling.validated(given)
    if found.get("max_tokens", 0) > LONGEST_ANSWER:
        raise ValueError(f"An answer may have {LONGEST_ANSWER:,} tokens (max_tokens).")
    return found


def tools(given: Any) -> list[dict[str, Any]]:
    """Return tools in OpenAI's form, each with what TabbyAPI asks for. Raises ValueError."""
    if not isinstance(given, list) or len(orjson.dumps(given)) > MOST_TOOLS:
        raise ValueError(f"Tools are a list in OpenAI's form, of {MOST_TOOLS:,} bytes at most.")
    for each in given:
        function = each.get("function") if isinstance(each, dict) else None
        if not isinstance(function, dict) or {"name", "description", "parameters"} - function.keys():
            raise ValueError("Each tool has a function with name, description and parameters.")
    return given


def image(url: str) -> str:
    """Return the data: URL of a picture. Raises ValueError."""
    kind = next((each for each in _IMAGES if url.startswith(each)), None)
    if kind is None or len(url) > MOST_IMAGE:
        raise ValueError(
            f"A picture is a data: URL of PNG, JPEG or WebP, of {MOST_IMAGE:,} characters at most."
        )
    try:
        base64.b64decode(url.removeprefix(kind), validate=True)
    except binascii.Error:
        raise ValueError("The picture's data: URL is no base64.") from None
    return url


def lines(text: str) -> str:
    """Return texts, one on each line. Raises ValueError."""
    if len(text) > LONGEST_LINES:
        raise ValueError(f"These may have {LONGEST_LINES:,} characters together.")
    return text


def pattern(text: str) -> str:
    """Return a regular expression that can be used. Raises ValueError."""
    patterns.expression(text)
    return text


def json_schema(given: Any) -> Any:
    """Return a JSON schema that can be used. Raises ValueError."""
    patterns.schema(given)
    return given
