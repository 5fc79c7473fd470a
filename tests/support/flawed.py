"""Checks that catch what the starter set does not, by the fault of a pretend model that they are for."""

from __future__ import annotations

from typing import Any

CHECKS: dict[str, dict[str, Any]] = {
    "no_tools": {"prompt": "[[tool]] What time is it?", "calls_tool": "get_time"},
    "language": {
        "prompt": "[[echo]]The sky is blue, and it is this that you see in the day.",
        "language": "en",
    },
    "broken_json": {
        "prompt": '[[echo]]{"city": "Paris"}',
        "json_schema": {"type": "object", "required": ["city"]},
    },
}
