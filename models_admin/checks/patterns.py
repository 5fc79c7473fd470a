"""Regular expressions and JSON schemas that people write, matched in linear time and bounded room."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson

MOST_SCHEMA = 10_000  # bytes
_ROOM = 1024 * 1024  # bytes that a compiled expression may take
# One of these can lead a schema into itself, or fetch it from elsewhere.
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id")


class BadPattern(ValueError):
    """An expression or a schema that cannot be used; the message says why."""


def expression(pattern: str) -> jsonschema_rs.Validator:
    """Return what matches(…) takes, for a regular expression. Raises BadPattern."""
    try:
        return _compiled({"type": "string", "pattern": pattern})
    except BadPattern:
        raise BadPattern(
            "This is no regular expression that can be used: it is wrong, too large, or has a reference to a group or "
            "a look around, which may take for ever."
        ) from None


def matches(validator: jsonschema_rs.Validator, value: Any) -> str:
    """Return '' where `value` fits, else why it does not."""
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(str(each) for each in error.instance_path)
        return f"{where}: {error.message}" if where else error.message
    return ""


def schema(wanted: Any) -> jsonschema_rs.Validator:
    """Return what matches(…) takes, for a JSON schema. Raises BadPattern."""
    if not isinstance(wanted, dict):
        raise BadPattern("A JSON schema is an object.")
    if len(orjson.dumps(wanted)) > MOST_SCHEMA:
        raise BadPattern(f"A schema may be {MOST_SCHEMA:,} bytes long.")
    if refers(wanted):
        raise BadPattern(f"A schema must be written out: without {', '.join(_REFERENCES)}.")
    return _compiled(wanted)


def refers(value: Any) -> bool:
    """Whether a schema refers to another one, or to a part of itself."""
    if isinstance(value, dict):
        return any(key in _REFERENCES or refers(each) for key, each in value.items())
    return isinstance(value, list) and any(map(refers, value))


def _compiled(wanted: dict[str, Any]) -> jsonschema_rs.Validator:
    engine = jsonschema_rs.RegexOptions(size_limit=_ROOM, dfa_size_limit=_ROOM)
    try:
        return jsonschema_rs.Draft202012Validator(wanted, pattern_options=engine)
    except ValueError as error:
        raise BadPattern(f"This is no JSON schema: {str(error).splitlines()[0][:200]}.") from None
