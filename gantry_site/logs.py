"""How log lines look, as text or as JSON, without keys, tokens and passwords.

Gantry's own code logs none of these. What is hidden here stands in the errors of libraries and servers.
"""

from __future__ import annotations

import json
import logging
import re
import textwrap
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from models_admin import log_context
from models_admin.visible import escaped, visible

HIDDEN = "•••"
LONGEST = 8000  # characters of a message
_TOKENS = re.compile(
    r"(?i)(bearer\s+)[^\s\"',;]{6,}|(session_id=)[^\s\"',;]+|(gantry_)[A-Za-z0-9_-]{20,}"
    r"|(://[^\s\"'/:@]*:)[^\s\"'/@]+(?=@)"  # the password in an address
)
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}


@cache
def secrets() -> tuple[str, ...]:
    """Return the keys and passwords of the settings that have six characters or more, the longest first."""
    from django.conf import settings  # noqa: PLC0415 (this module is imported to configure logging)

    words = [settings.SECRET_KEY, settings.ADMIN_PASSWORD]
    for keys in (settings.TABBY_ADMIN_KEY, settings.TABBY_API_KEY):
        words += [keys, *(each.partition("=")[2].strip() for each in keys.split(","))]  # also gpu1=…,gpu2=…
    database = settings.DATABASES["default"]
    words += [settings.METRICS_TOKEN, str(database.get("PASSWORD") or "")]
    hosts = settings.TABBY_HOST.split(",")
    for url in (settings.REDIS_URL, *hosts, *(each.partition("=")[2].strip() for each in hosts)):
        with suppress(ValueError):
            words.append(urlsplit(url).password or "")
    # A password that is the user's name, as in docker-compose.yml, is no secret: hiding it would hide the word everywhere.
    known = {"gantry", database.get("USER"), database.get("NAME")}
    return tuple(sorted({word for word in words if len(word) >= 6} - known, key=len, reverse=True))


def redacted(text: str) -> str:
    """Return `text` without the keys and passwords of the settings, and without what looks like a token."""
    for word in secrets():
        text = text.replace(word, HIDDEN)
    return _TOKENS.sub(lambda found: f"{next(filter(None, found.groups()))}{HIDDEN}", text)


class Text(logging.Formatter):
    """A line for people. A message is one line and a traceback is indented, so that no input passes for a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = " ⏎ ".join(record.message.splitlines())
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return textwrap.indent(super().formatException(ei), "  ")

    def format(self, record: logging.LogRecord) -> str:
        return visible(redacted(super().format(record)))


class Json(logging.Formatter):
    """One JSON object a line.

    {"time" (UTC, ISO 8601), "level", "logger", "message", "request_id" and "switch_id" where there is one, "exception" (a
    traceback) where there is one, and the record's own fields, such as "status" and "ms" of a request}
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()[:LONGEST]),
        }
        if request := log_context.request_id.get():
            line["request_id"] = request
        if (switch := log_context.switch_id.get()) is not None:
            line["switch_id"] = switch
        for name, value in vars(record).items():
            if name not in _ORDINARY and isinstance(value, (str, int, float, bool)):
                line.setdefault(name, redacted(value) if isinstance(value, str) else value)
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return escaped(json.dumps(line, ensure_ascii=False))
