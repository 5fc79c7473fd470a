"""What is wrong with a text by its looks alone: marks of a template, endless repeats, gibberish.

Each is generous: a text that a working model writes must never be called faulty.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_MARK = re.compile(
    r"<\|[a-z][a-z0-9_]{1,40}\|>|<｜[^｜<>]{2,40}｜>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
    r"|</s>\s*\Z|<\|[a-z_]{0,40}\|?\Z|^\s*(?:user|assistant|system)\s*$|^###\s+(?:Instruction|Response):",
    re.MULTILINE,
)
_TAIL = 2_000  # characters at the end in which repeats are looked for
_LONGEST_UNIT = 200  # characters of what is repeated
_FEWEST_REPEATS = 6
_SHORTEST_REPEAT = 80  # characters that the repeats have together
_RULERS = set("-=_*#|.~ \n\t")
_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = set("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýœ")
_FEWEST_LETTERS = 20


def mark(text: str) -> str:
    """Return the first mark of a prompt template in `text`, whole or cut off at its end; '' where there is none."""
    found = _MARK.search(text)
    return found[0].strip() if found else ""


def repeated(text: str) -> str:
    """Return what a text repeats again and again up to its end; '' where it does not."""
    tail = text.rstrip()[-_TAIL:]
    for size in range(1, min(_LONGEST_UNIT, len(tail) // _FEWEST_REPEATS) + 1):
        unit = tail[-size:]
        if set(unit) <= _RULERS:
            continue
        times = 1
        while tail.endswith(unit, 0, len(tail) - times * size):
            times += 1
        if times >= _FEWEST_REPEATS and times * size >= _SHORTEST_REPEAT:
            return unit.strip()
    words = tail.split()[-80:]
    if len(words) == 80 and len(set(words)) <= 6:
        return " ".join(Counter(words))
    return ""


def gibberish(text: str) -> str:
    """Return why a text is gibberish, in a clause; '' where it is not."""
    shown = [each for each in text if not each.isspace()]
    if len(shown) < _FEWEST_LETTERS:
        return ""
    broken = sum(each == "\ufffd" or unicodedata.category(each) in ("Cc", "Co", "Cn", "Cs") for each in shown)
    if broken > max(2, len(shown) // 50):
        return f"{broken} of {len(shown)} characters are broken"
    letters = [each for each in shown if each.isalpha()]
    if len(letters) < len(shown) * 0.2 and not any(each.isdigit() for each in shown):
        return f"only {len(letters)} of {len(shown)} characters are letters"
    scripts = Counter(_script(each) for each in letters)
    many = [name for name, count in scripts.items() if count >= max(3, len(letters) // 25)]
    if len(many) >= 4:
        return f"it mixes the scripts {', '.join(sorted(many)).lower()}"
    return _unreadable([word.lower() for word in _WORD.findall(text) if len(word) >= 4])


def _script(letter: str) -> str:
    """Return the script of a letter; those that one language mixes count as one."""
    name = unicodedata.name(letter, "UNKNOWN").split()[0]
    return "EAST ASIAN" if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH") else name


def _unreadable(words: list[str]) -> str:
    latin = [word for word in words if _script(word[0]) == "LATIN"]
    if len(latin) < 8:
        return ""
    odd = [word for word in latin if not set(word) & _VOWELS or len(word) > 40]
    return f"“{odd[0][:40]}” and the like are no words" if len(odd) > len(latin) * 0.4 else ""
