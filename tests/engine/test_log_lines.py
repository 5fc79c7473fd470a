"""Log lines: what is hidden in them, and that JSON stays JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gantry_site import logs
from gantry_site.logs import HIDDEN, Json, Text, redacted


@pytest.fixture(autouse=True)
def _as_set(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """secrets() remembers what it saw of the settings: here it looks each time."""
    settings.TABBY_ADMIN_KEY = 'key-with-"quotes"'
    for fact in ("USER", "NAME", "PASSWORD"):
        monkeypatch.setitem(settings.DATABASES["default"], fact, "gantry")
    monkeypatch.setattr(logs, "secrets", logs.secrets.__wrapped__)


def line(message: str, **more: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "gantry.access", **more})
    read: dict[str, Any] = json.loads(Json().format(record))
    return read


@pytest.mark.parametrize(
    "message",
    [
        'refused "Bearer abcdefghij" here',
        'cookie session_id="x\\y"',
        'it said key-with-"quotes".',
        "\x00 \u2028 \\",
    ],
)
def test_what_is_hidden_leaves_json(message: str) -> None:
    told = line(message, told=message)
    assert told["told"] == told["message"] == redacted(message)
    assert "quotes" not in told["message"]


def test_a_password_that_is_a_name_hides_nothing_else() -> None:
    told = line("postgres://gantry:gantry@db:5432/gantry went away")
    assert told["message"] == f"postgres://gantry:{HIDDEN}@db:5432/gantry went away"
    assert told["logger"] == "gantry.access"
    assert redacted("redis://:open-sesame@redis:6379/0") == f"redis://:{HIDDEN}@redis:6379/0"


def test_control_characters_are_shown_in_text_and_not_sent() -> None:
    record = logging.makeLogRecord({"msg": "It said \x1b[2J\x07\x9b and\ta tab", "levelname": "INFO"})
    written = Text("%(message)s").format(record)
    assert written == "It said ␛[2J␇\ufffd and\ta tab"


UNSEEN = "\x07 \x1b[2J \x7f \x9b \u2028 \u202e \u2066"


def test_what_turns_or_breaks_a_line_is_not_sent_either() -> None:
    record = logging.makeLogRecord({"msg": UNSEEN, "levelname": "INFO"})
    assert Text("%(message)s").format(record) == "␇ ␛[2J \u2421 \ufffd  ⏎  \ufffd \ufffd"
    written = Json().format(record)
    assert written.isascii()
    assert json.loads(written)["message"] == UNSEEN


def test_an_errors_words_cannot_pass_for_a_line_of_their_own() -> None:
    try:
        raise ValueError("bad\n12:00:00 INFO gantry: All is well")
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "It failed", "levelname": "ERROR", "exc_info": (ValueError, error, error.__traceback__)}
        )
    first, *others = Text("%(levelname)s %(message)s").format(record).splitlines()
    assert first == "ERROR It failed"
    assert others
    assert all(line.startswith("  ") for line in others)
