"""Control characters in words from outside: shown, not sent. A terminal that follows a log obeys ESC; a reader sees ␛."""

from __future__ import annotations

import re

# C0 but for tab and line feed, DEL, C1, and halves of surrogate pairs, which no encoding takes; what turns the direction of
# all that follows, and what some programs take for the end of a line.
_UNSEEN = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
CONTROLS = re.compile(rf"[\x00-\x1f{_UNSEEN}]")  # with tab and line feed


def visible(text: str) -> str:
    """Return `text` with a picture for each control character but tab and line feed (ESC is “␛”, BEL is “␇”)."""
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def escaped(document: str) -> str:
    """Return JSON in which such characters stand as escapes, which say the same."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
