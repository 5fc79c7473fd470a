"""A report on a model's files: what is wrong, what is worth knowing, and what loading them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models_admin.visible import printable, visible

MOST_SHOWN = 20  # problems or notes that are kept
MOST_VALUE = 100  # characters of a setting


@dataclass(frozen=True, slots=True)
class Problem:
    """Why TabbyAPI cannot load the files: a clause that names the file, and a sentence that says what to do."""

    what: str
    todo: str


class Unjudged(Exception):
    """Something cannot be looked at, which says nothing about the model; str() is a sentence."""


@dataclass(slots=True)
class Report:
    """What was found. `found`: there is such a folder, and it could be read; `complete`: all of it was looked at.

    size: bytes on the disk. format: such as “exl3 4 bpw”. weights: bytes that the GPUs need for them at least. per_token:
    bytes that a token takes in a cache of FP16 (0: not known). context: tokens that the model is made for. config: the text
    of its tabby_config.yml; settings: what that says of the options that memory depends on.
    """

    found: bool = False
    complete: bool = True
    size: int = 0
    format: str = ""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    weights: int = 0
    per_token: float = 0.0
    context: int | None = None
    config: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def refuse(self, what: str, todo: str) -> None:
        """Add a problem."""
        if len(self.problems) < MOST_SHOWN:
            self.problems.append(Problem(visible(what), visible(todo)))

    def note(self, sentence: str) -> None:
        """Add what is worth knowing, and no reason to refuse."""
        if len(self.notes) < MOST_SHOWN and (shown := visible(sentence)) not in self.notes:
            self.notes.append(shown)

    def unjudged(self, sentence: str) -> None:
        """Add what could not be looked at."""
        self.complete = False
        self.note(sentence)

    def as_dict(self) -> dict[str, Any]:
        """Return it ready for JSON and a database."""
        return {
            "found": self.found,
            "complete": self.complete,
            "size": self.size,
            "format": visible(self.format),
            "problems": [{"what": each.what, "todo": each.todo} for each in self.problems],
            "notes": self.notes,
            "weights": self.weights,
            "per_token": self.per_token,
            "context": self.context,
            "config": self.config,
            "settings": {name: visible(value)[:MOST_VALUE] for name, value in self.settings.items()},
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Report:
        """Return the report that as_dict() wrote; an empty one for {}."""
        problems = [Problem(each["what"], each["todo"]) for each in kept.get("problems", [])]
        return cls(**{**kept, "problems": problems})


def named(name: str) -> str:
    """Return a file's name for people, whatever its bytes are."""
    return printable(name)


def gigabytes(size: float) -> str:
    """Return so many bytes in words, such as “4.3 GB” (of 1024³)."""
    for unit, name in ((1024**3, "GB"), (1024**2, "MB")):
        if size >= unit / 10:
            return f"{size / unit:,.1f} {name}"
    return f"{size:,.0f} bytes"
