"""Judges the small files beside the weights: config.json, the tokenizer, the chat template, tabby_config.yml."""

from __future__ import annotations

import re
from typing import Any

from models_admin.model_files.folder import Folder, NotJson
from models_admin.model_files.report import Report, Unjudged
from models_admin.visible import visible

MOST_CONFIG = 8 * 1024**2
MOST_TOKENIZER = 128 * 1024**2
MOST_SHOWN = 8_000  # bytes of tabby_config.yml
AGAIN = "Download the model again."
CONFIG = "tabby_config.yml"
TEMPLATE_FILES = ("chat_template.jinja", "tabby_template.jinja")
# What Gantry itself reads of tabby_config.yml, which wins over all options: plain lines below “model:”.
_LINE = re.compile(r"[ \t]+([a-z_]+):[ \t]*['\"]?([^'\"#\r\n]*?)['\"]?[ \t]*(?:#.*)?")


def config(folder: Folder, report: Report) -> dict[str, Any]:
    """Return config.json; {} where there is none that can be judged. What is wrong with it goes into the report."""
    name = "config.json"
    if not folder.has(name):
        if folder.has("adapter_config.json"):
            report.refuse("it is an adapter (LoRA), not a model", "Load the model that it belongs to.")
        else:
            report.refuse(
                "config.json is missing", f"{AGAIN} Without it, TabbyAPI does not know what the weights are."
            )
        return {}
    try:
        found = folder.json(name, MOST_CONFIG)
    except NotJson as error:
        report.refuse(f"config.json {error}", AGAIN)
        return {}
    except Unjudged as error:
        report.unjudged(f"{error}.")
        return {}
    kinds = found.get("architectures")
    if not isinstance(kinds, list) or len(kinds) != 1 or not isinstance(kinds[0], str):
        report.refuse(
            "config.json does not name one architecture",
            "TabbyAPI loads models whose config.json has one entry in “architectures”. Download the model again.",
        )
    return found


def tokenizer(folder: Folder, report: Report) -> None:
    """Judge the tokenizer: TabbyAPI reads tokenizer.json, and nothing else in its place."""
    name = "tokenizer.json"
    if not folder.has(name):
        others = [each for each in ("tokenizer.model", "tekken.json", "vocab.json") if folder.has(each)]
        todo = f"{others[0]} alone is not enough for TabbyAPI: convert it." if others else AGAIN
        report.refuse("tokenizer.json is missing", todo)
        return
    try:
        folder.json(name, MOST_TOKENIZER)
    except NotJson as error:
        report.refuse(f"tokenizer.json {error}", AGAIN)
    except Unjudged as error:
        report.unjudged(f"{error}.")


def template(folder: Folder, report: Report) -> None:
    """Note where the model brings no chat template: it loads, and cannot chat unless an option names one."""
    if any(folder.has(each) for each in TEMPLATE_FILES):
        return
    for name in ("chat_template.json", "tokenizer_config.json"):
        if not folder.has(name):
            continue
        try:
            if folder.json(name, MOST_CONFIG * 4).get("chat_template"):
                return
        except NotJson as error:
            report.note(f"{name} {error}: TabbyAPI goes on without it.")
        except Unjudged as error:
            report.unjudged(f"{error}.")
            return
    report.note(
        "No chat template comes with it: to chat, it needs the load option prompt_template, or a chat_template.jinja in "
        "its folder."
    )


def tabby_config(folder: Folder, report: Report) -> None:
    """Show the model's tabby_config.yml, which wins over all load options."""
    entry = folder.entries.get(CONFIG)
    if entry is None:
        return
    try:
        data = folder.read(entry, MOST_SHOWN + 1)
        text = data[:MOST_SHOWN].decode()
    except UnicodeDecodeError as error:
        if error.start < MOST_SHOWN - 4:
            report.refuse(
                f"{CONFIG} is not UTF-8", "TabbyAPI cannot read it: save it as UTF-8, or remove it."
            )
            return
        text = data[: error.start].decode()
    except Unjudged as error:
        report.unjudged(f"{error}.")
        return
    report.config = visible(text) + ("\n…" if len(data) > MOST_SHOWN else "")
    report.settings = _settings(text)


def _settings(text: str) -> dict[str, str]:
    """Return the plain settings below “model:”."""
    found: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if line.strip() and not line[0].isspace() and not line.startswith("#"):
            inside = line.split("#")[0].strip() == "model:"
        elif inside and (match := _LINE.fullmatch(line)) and match[2]:
            found.setdefault(match[1], match[2])
    return found
