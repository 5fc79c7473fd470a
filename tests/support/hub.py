"""A repository of the sandbox's hub, whose files are a whole model."""

from __future__ import annotations

import json
import struct
from typing import Any

from support.model_folders import CONFIG, TEMPLATE, described, plain

TEAM = "team/Small-1B"


def repository(name: str = TEAM, **how: Any) -> dict[str, Any]:
    """A small model in two shards, as the sandbox is told of it."""
    beside = {
        "config.json": json.dumps(CONFIG),
        "tokenizer.json": json.dumps({"model": {}}),
        "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}),
    }
    begins, files = dict(beside), {each: len(text) for each, text in beside.items()}
    for number, layers in enumerate((range(2), range(2, 4)), 1):
        inside = plain(layers)
        if number == 2:
            inside = {each: facts for each, facts in inside.items() if ".layers." in each}
        header, size = described(inside)
        text = json.dumps(header)
        shard = f"model-{number:05d}-of-00002.safetensors"
        begins[shard] = struct.pack("<Q", len(text)).decode("latin-1") + text
        files[shard] = 8 + len(text) + size
    return {"name": name, "files": files, "begins": begins, **how}


def size(of: dict[str, Any]) -> int:
    """The bytes of a repository."""
    return sum(of["files"].values())
