"""A pretend hub of models: its repositories, and how the downloads of them go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Repository:
    """What the hub has. `files` are sizes by name; `begins` has what a file begins with (latin-1), the rest is zeros.

    token: who wants it must send this one. forbidden: not even then. breaks_at: the connection breaks after so many bytes.
    """

    name: str
    files: dict[str, int] = field(default_factory=dict)
    begins: dict[str, str] = field(default_factory=dict)
    revisions: tuple[str, ...] = ("main",)
    bytes_per_second: float = 1e6
    token: str = ""
    forbidden: bool = False
    breaks_at: int | None = None


DEMO = Repository(
    "turboderp/Qwen2.5-1.5B-Instruct-exl3",
    {"config.json": 1_400, "tokenizer.json": 7_000_000, "model.safetensors": 1_200_000_000},
    bytes_per_second=40e6,
)


@dataclass
class Hub:
    """The repositories, the real folder (None: nothing is written) with its room in bytes, and the downloads that run."""

    repositories: dict[str, Repository] = field(default_factory=lambda: {DEMO.name: DEMO})
    folder: Path | None = None
    room: int | None = None
    downloads: dict[str, int] = field(default_factory=dict)

    def change(self, data: Mapping[str, Any]) -> None:
        """Take `repositories`, `folder` and `room` from the control endpoint; raises ValueError."""
        if "repositories" in data:
            known = {each.name for each in fields(Repository)}
            for each in data["repositories"]:
                if not isinstance(each, dict) or "name" not in each or set(each) - known:
                    raise ValueError(
                        f"A repository is an object with a name, and of {', '.join(sorted(known))}."
                    )
            self.repositories = {each["name"]: Repository(**each) for each in data["repositories"]}
        if "folder" in data:
            self.folder = Path(data["folder"]) if data["folder"] else None
        if "room" in data:
            self.room = data["room"]
