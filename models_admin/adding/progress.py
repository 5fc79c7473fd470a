"""Measures how far a download is, by the files that grow in MODELS_DIR.

TabbyAPI says nothing until all is there. It begins all files at once, and the header of a safetensors file says how long the
file will be: so the whole is known as soon as each header has come, to the small files beside them.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings

from models_admin.model_files import looks, safetensors
from models_admin.model_files.folder import Entry, Folder, TooSlow
from models_admin.model_files.report import Unjudged

LOOK_SECONDS = 0.7
WINDOW_SECONDS = 15.0  # over which the speed is measured
_OF = re.compile(r"-of-(\d{1,6})\.safetensors$")


class Meter:
    """Measures the download into one folder."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lengths: dict[str, int] = {}  # of files whose header has come
        self._samples: deque[tuple[float, int]] = deque()

    def columns(self) -> dict[str, Any]:
        """Return the columns of a download that are known now; {} where MODELS_DIR is not set, or shows nothing."""
        if not looks.configured():
            return {}
        try:
            done, total = looks.within(LOOK_SECONDS, self._measure)
        except (looks.Silent, Unjudged, TooSlow):
            return {}
        return {"bytes_done": done, "bytes_total": total, "bytes_per_second": self._speed(done)}

    def _measure(self) -> tuple[int, int | None]:
        folder = Folder.open(Path(settings.MODELS_DIR), self._name, time.monotonic() + LOOK_SECONDS)
        files = [each for each in folder.entries.values() if each.kind == "file"]
        weights = [each for each in files if each.name.endswith(".safetensors")]
        for each in weights:
            if each.name not in self._lengths and (length := safetensors.length(folder, each)):
                self._lengths[each.name] = length
        done = sum(each.size for each in files)
        known = weights and all(each.name in self._lengths for each in weights) and not _lacking(weights)
        others = sum(each.size for each in files if each not in weights)
        return done, max(done, others + sum(self._lengths.values())) if known else None

    def _speed(self, done: int) -> float | None:
        now = time.monotonic()
        self._samples.append((now, done))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        began, before = self._samples[0]
        return max(0.0, (done - before) / (now - began)) if now > began else None


def _lacking(weights: Iterable[Entry]) -> bool:
    """Whether files of a numbered series have not begun."""
    names = [each.name for each in weights]
    wanted = {int(match[1]) for name in names if (match := _OF.search(name))}
    return bool(wanted) and len(names) < max(wanted)
