"""Planted faults: what is wrong with all that a pretend model says (`flaw` in its table)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

FLAWS = {
    "template": "goes on behind its end mark, because the template is wrong",
    "gibberish": "writes letters at random",
    "repeats": "says the same again and again",
    "slow": "writes at a tenth of its speed",
    "no_tools": "never calls a tool",
    "empty": "says nothing",
    "language": "answers in German",
    "broken_json": "leaves out the last character",
    "endless": "never comes to an end",
    "dies": "answers one message after a load, and no other",
}
_GERMAN = "Das ist eine Antwort, die ich nicht auf Englisch geben kann, und sie ist auch nicht die, die du erwartet hast."
_LETTERS = "bcdfgkrtvxzqжщфλψ漢ثخ"
_MOST = 20_000  # tokens of what has no end
_PACED = ("slow", "repeats", "endless")


def pace(flaw: str | None, rate: float, usual: float) -> float:
    """Return the tokens a second of a model with this flaw; `usual` is its own, where `rate` is as fast as can be (0)."""
    if flaw not in _PACED:
        return rate
    return (rate or usual) / (10 if flaw == "slow" else 1)


def flawed(flaw: str | None, tokens: Iterable[str]) -> Iterator[str]:
    """Yield what a model with this flaw says in the place of `tokens`."""
    match flaw:
        case "template":
            yield from tokens
            yield from ("<|im_end|>", "\n", "<|im_start|>", "user", "\n", "Hello")
        case "gibberish":
            dice = 1
            for _ in range(90):
                dice = dice * 1103515245 + 12345
                yield " " + "".join(_LETTERS[(dice >> shift) % len(_LETTERS)] for shift in range(16, 46, 5))
        case "repeats":
            yield from (" and so on" for _ in range(_MOST))
        case "empty":
            return
        case "language":
            yield from (f" {word}" for word in _GERMAN.split())
        case "broken_json":
            yield "".join(tokens).rstrip()[:-1]
        case "endless":
            yield from (f" And then there is number {number}, which differs." for number in range(1, _MOST))
        case _:
            yield from tokens
