"""TabbyAPI's answers as frozen values. Every parser is strict: it raises Garbled for a shape that TabbyAPI does not send.

Each value is bounded here, once: `word`, `text`, `count` and `number` return what any database column, JSON and any page
take, whatever was sent. No code behind this module checks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from models_admin.tabby.errors import MAX_WORDS, Garbled
from models_admin.tabby.refusals import MAX_ISSUES, as_text
from models_admin.visible import CONTROLS, visible

MAX_NAME = 255
# Names that TabbyAPI lists and that are no models: folders of file systems, and the name that use_dummy_models adds.
NO_MODELS = ("lost+found", "System Volume Information", "$RECYCLE.BIN", "gpt-3.5-turbo")
MAX_WORD = 32  # characters of a finish reason, and of a load's phase
MAX_COUNT = 2**31 - 1  # tokens or modules: what an integer column takes
MAX_NUMBER = 1e9  # seconds, or tokens a second
# What is kept of a card's parameters.
PARAMETERS = (
    "max_seq_len", "cache_size", "cache_mode", "rope_scale", "rope_alpha", "max_batch_size", "chunk_size",
    "prompt_template", "use_vision", "draft",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The loaded model: its directory's name, and the parameters that TabbyAPI runs it with, of PARAMETERS."""

    id: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """One step of a load: `module` of `modules` (both 0 or more) of the phase are done.

    `phase` is "vision", "draft" or "model"; those that apply come in this order. `finished` ends a phase, not the load.
    """

    phase: str
    module: int
    modules: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply took. None: TabbyAPI did not say, or said "Indeterminate"."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    tokens_per_second: float | None
    seconds: float | None

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Usage:
        """Return the usage that as_dict() wrote, each value bounded anew: older rows hold any value."""
        return cls(
            count(kept.get("prompt_tokens")),
            count(kept.get("completion_tokens")),
            count(kept.get("total_tokens")),
            number(kept.get("tokens_per_second")),
            number(kept.get("seconds")),
        )

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name, ready for JSON."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Delta:
    """All that one read brought of a reply; `text` and `reasoning` go on where the last delta ended.

    `pieces` is the number of events with text or reasoning in it; `model` is the name that TabbyAPI gave ('': none).
    """

    text: str
    reasoning: str
    finish_reason: str | None
    usage: Usage | None
    model: str
    pieces: int


def word(value: object, most: int) -> str:
    """Return `value` as a text of at most `most` characters, its control characters visible; '' where it is no text."""
    return visible(value[: 2 * most])[:most].strip() if isinstance(value, str) else ""


def text(value: str) -> str:
    """Return a reply's text without NUL, which no database takes, and with `?` for each half of a surrogate pair."""
    value = value.replace("\x00", "")
    # Only the lenient parser of decode_json lets halves through. For ASCII text the check costs nothing.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def count(value: object) -> int | None:
    """Return `value` if it can be a number of tokens or modules, else None."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def number(value: object) -> float | None:
    """Return `value` if it can be a time or a rate, else None: so for NaN and infinity."""
    return float(value) if type(value) in (int, float) and 0 <= value <= MAX_NUMBER else None  # type: ignore[operator, arg-type]


def usable_name(name: object) -> bool:
    """Whether `name` can be one directory in TabbyAPI's model folder. TabbyAPI would follow one that leaves it."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME
        and name not in (".", "..")
        and "/" not in name
        and "\\" not in name
        and CONTROLS.search(name) is None
    )


def _is_no_model(name: str) -> bool:
    return name.startswith(".") or name in NO_MODELS


def decode_json(data: bytes, what: str) -> Any:
    """Return the value of the JSON `data`; raises Garbled, which names `what` was asked for, where it is none.

    Bytes that are not UTF-8 are replaced, so that one bad byte does not end a reply. NaN, numbers of any length and halves
    of surrogate pairs are read: the values are bounded one by one.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise Garbled(f"TabbyAPI's answer for {what} is not JSON") from None


def _shape(what: str) -> Garbled:
    return Garbled(f"TabbyAPI's answer for {what} has an unknown shape")


def read_permission(answer: Any) -> str:
    """`{"permission": "admin"|"api"}` → the permission."""
    permission = answer.get("permission") if isinstance(answer, dict) else None
    if permission not in ("admin", "api"):
        raise _shape("the key's permission")
    return str(permission)


def read_models(answer: Any) -> list[str]:
    """`{"data": [{"id": NAME}, …]}` → the names, sorted, each once, without those of NO_MODELS, hidden and unusable ones."""
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise _shape("the list of models")
    names = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(name, str) for name in names):
        raise _shape("the list of models")
    return sorted({str(name) for name in names if usable_name(name) and not _is_no_model(str(name))})


def read_templates(answer: Any) -> list[str]:
    """`{"data": [NAME, …]}` → the names, sorted, each once."""
    names = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _shape("the list of prompt templates")
    return sorted(set(names))


def read_card(answer: Any) -> ModelCard:
    """`{"id", "parameters": {…} | null}` → the loaded model's card, with those of PARAMETERS that are short facts.

    A template's text, which comes with the model's files, is left out. A `prompt_template` of '' says that the model has
    none; `draft` is the draft model's name.
    """
    if not isinstance(answer, dict):
        raise _shape("the loaded model")
    name, parameters = answer.get("id"), answer.get("parameters")
    if not usable_name(name) or not isinstance(parameters, dict | None):
        raise _shape("the loaded model")
    sent = parameters or {}
    draft = sent.get("draft")
    sent = {**sent, "draft": draft.get("id") if isinstance(draft, dict) else None}
    read = {key: value for key in PARAMETERS if _is_fact(value := sent.get(key))}
    if "prompt_template" in sent and not sent["prompt_template"]:
        read["prompt_template"] = ""
    if count(read.get("max_seq_len", 0)) is None:
        raise _shape("the loaded model")
    return ModelCard(str(name), read)


def read_issues(answer: Any) -> list[str]:
    """`{"status", "issues": […]}` → the issues in words; an issue is a string, or an object with a `description`."""
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise _shape("its health")
    issues = answer.get("issues") or []
    if not isinstance(issues, list):
        raise _shape("its health")
    words = [
        issue.get("description", "") if isinstance(issue, dict) else issue for issue in issues[:MAX_ISSUES]
    ]
    return [word(as_text(each), MAX_WORDS) for each in words]


def read_progress(event: Any) -> LoadProgress:
    """`{"model_type", "module", "modules", "status"}`, an event of a load → the progress."""
    if not isinstance(event, dict):
        raise _shape("a load")
    phase = word(event.get("model_type"), MAX_WORD)
    module, modules = count(event.get("module")), count(event.get("modules"))
    if not phase or module is None or modules is None:
        raise _shape("a load")
    return LoadProgress(phase, module, modules, event.get("status") == "finished")


def read_usage(usage: Any) -> Usage:
    """The `usage` object of a reply's last event → the usage."""
    if not isinstance(usage, dict):
        raise _shape("the usage of a reply")
    return Usage(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count(usage.get("total_tokens")),
        number(usage.get("completion_tokens_per_sec")),
        number(usage.get("total_time")),
    )


def is_whole_reply(body: bytes) -> bool:
    """Whether `body` is a chat completion in one piece, which a stream should have been."""
    try:
        answer = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("object") == "chat.completion"


def _is_fact(value: Any) -> bool:
    """Whether it is a number, a truth value or a word, such as any database and any page can take."""
    if isinstance(value, str):
        return 0 < len(value) <= 100 and value.isprintable()
    return isinstance(value, int | float) and abs(value) < 2**53
