"""A finding: what an examination of TabbyAPI or of this machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models_admin import page_schema
from models_admin.tabby.errors import sentence

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`id` names the examination. `title` says what was found, `detail` how it showed, `hint` what to do."""

    id: str
    level: Level
    title: str
    detail: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        if self.level != "ok":  # which is shown as sentences
            object.__setattr__(self, "detail", sentence(self.detail))

    def as_dict(self) -> page_schema.Finding:
        """Return the fields by name, ready for JSON."""
        return {
            "id": self.id,
            "level": self.level,
            "title": self.title,
            "detail": self.detail,
            "hint": self.hint,
        }
