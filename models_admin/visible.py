"""Makes control characters in text from outside visible: a terminal obeys ESC, a reader sees ␛."""

from __future__ import annotations

import re

# DEL, C1, the characters that turn the direction of all that follows or that some programs take for the end of a line, and
# halves of surrogate pairs, which no encoding takes. _CONTROL adds C0, without tab and line feed.
_UNSEEN = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
CONTROLS = re.compile(rf"[\x00-\x1f{_UNSEEN}]")  # with tab and line feed


# What every text from outside has to match: PostgreSQL takes no NUL. For pydantic.
NO_NUL = r"^[^\x00]*$"


def visible(text: str) -> str:
    """Return `text` with a picture for each control character but tab and line feed (ESC is “␛”, BEL is “␇”)."""
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def escaped(document: str) -> str:
    """Return the JSON `document` with each of CONTROLS as an escape sequence, which means the same."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def printable(text: str) -> str:
    """Return the first 100 characters of `text`, with “�” for each that cannot be printed."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:100])


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
