"""Load options: which ones TabbyAPI takes, and which values. They are checked before anything is unloaded.

The list and the grammar are TabbyAPI's (its `ModelLoadRequest`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

CHUNK = 2048  # TabbyAPI's own chunk_size
PAGE = 256  # tokens: TabbyAPI gives out the cache in pages of this size
MOST_MEMORY = 10_000_000  # GB or MB of a GPU
CACHE_MODE = re.compile(r"FP16|Q8|Q6|Q4|[2-8],[2-8]")
TEMPLATE = re.compile(r"[\w.\- ]{1,100}")
NAME = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]{1,255}")


def _whole(low: int, high: int, multiple: int = 1) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if type(value) is int and low <= value <= high and value % multiple == 0:
            return ""
        of = f", a multiple of {multiple}" if multiple > 1 else ""
        return f"a whole number from {low:,} to {high:,}{of}"

    return check


def _number(low: float, high: float) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        number = type(value) in (int, float) and low <= value <= high
        return "" if number else f"a number from {low:,} to {high:,}"

    return check


def _numbers(example: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        good = (
            isinstance(value, list)
            and 0 < len(value) <= 64
            and all(type(each) in (int, float) and 0 <= each <= MOST_MEMORY for each in value)
        )
        return "" if good else f"a list of numbers, one for each GPU, such as {example}"

    return check


def _flag(value: Any) -> str:
    return "" if type(value) is bool else "true or false"


def _words(pattern: re.Pattern[str], what: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        return "" if isinstance(value, str) and pattern.fullmatch(value) and ".." not in value else what

    return check


def _rope_alpha(value: Any) -> str:
    return "" if value == "auto" else _number(0.01, 1000)(value) and "“auto” or a number from 0.01 to 1,000"


_DRAFT: Mapping[str, Callable[[Any], str]] = {
    "draft_model_name": _words(NAME, "the name of a directory"),
    "draft_rope_scale": _number(0.01, 1000),
    "draft_rope_alpha": _rope_alpha,
    "draft_cache_mode": _words(CACHE_MODE, "a cache mode such as Q8"),
}


def _draft(value: Any) -> str:
    if not isinstance(value, dict) or "draft_model_name" not in value:
        return "an object with draft_model_name"
    if unknown := set(value) - set(_DRAFT):
        return f"an object without {', '.join(sorted(unknown))[:60]}"
    for name, each in value.items():
        if expected := _DRAFT[name](each):
            return f"an object whose {name} is {expected}"
    return ""


# {option: check}; a check returns what the value should be, or '' if it is right.
CHECKS: Mapping[str, Callable[[Any], str]] = {
    "max_seq_len": _whole(256, 10_000_000),
    "cache_size": _whole(256, 100_000_000, multiple=256),
    "cache_mode": _words(CACHE_MODE, "FP16, Q8, Q6, Q4, or bits for keys and values such as “8,6”"),
    "tensor_parallel": _flag,
    "gpu_split_auto": _flag,
    "gpu_split": _numbers("20, 22"),
    "autosplit_reserve": _numbers("96, 0"),
    "rope_scale": _number(0.01, 1000),
    "rope_alpha": _rope_alpha,
    "chunk_size": _whole(256, 1_000_000, multiple=256),
    "max_batch_size": _whole(1, 4096),
    "prompt_template": _words(TEMPLATE, "the name of a template: letters, digits, spaces and . _ -"),
    "vision": _flag,
    "draft_model": _draft,
}


def impossible(options: Mapping[str, Any]) -> dict[str, str]:
    """Return {option: why} of what cannot work although each option alone is right; `why` completes “cache_size …”.

    TabbyAPI gives a reply its cache by the chunk: a prompt needs its own tokens and chunk_size, in pages of PAGE tokens.
    """
    name = "cache_size" if options.get("cache_size") is not None else "max_seq_len"
    room, chunk = options.get(name), options.get("chunk_size") or CHUNK
    if room is None or room >= chunk + PAGE:
        return {}
    why = (
        f"must be at least {chunk + PAGE:,}, not {room:,}: beside the prompt, TabbyAPI needs a chunk (chunk_size, "
        f"{chunk:,} tokens) of the cache for a reply. A smaller chunk_size would do, too"
    )
    return {name: why}


def validated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` without those that are None; raises ValueError, whose text says what is wrong with the first."""
    result = {name: value for name, value in options.items() if value is not None}
    for name, value in result.items():
        check = CHECKS.get(name)
        if check is None:
            raise ValueError(f"“{str(name)[:60]}” is no load option. There are: {', '.join(sorted(CHECKS))}.")
        if expected := check(value):
            raise ValueError(f"The load option {name} must be {expected}, not {str(value)[:60]!r}.")
    for name, why in impossible(result).items():
        raise ValueError(f"The load option {name} {why}.")
    return result
