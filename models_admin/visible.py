"""Control characters in words from outside: shown, not sent. A terminal that follows a log obeys ESC; a reader sees ␛."""

from __future__ import annotations

import re

# C0 but for tab and line feed, DEL, C1, and halves of surrogate pairs, which no encoding takes.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def visible(text: str) -> str:
    """Return `text` with a picture for each control character but tab and line feed (ESC is “␛”, BEL is “␇”)."""
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
