"""The document: its parts, and reading it with the place of each fault."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models_admin.checks import bounds
from models_admin.checks.languages import LANGUAGES
from models_admin.models import Trigger
from models_admin.visible import NO_NUL

VERSION = 1
LARGEST = 20_000_000  # bytes
MOST_FAULTS = 20  # that are told at once

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
Word = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
Text = Annotated[str, StringConstraints(max_length=100_000, pattern=NO_NUL)]
CheckName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_NUL)]
GroupName = Annotated[str, StringConstraints(min_length=1, max_length=150, pattern=NO_NUL)]


Found = Iterator[tuple[str, Any, Any]]


class SetupRefused(Exception):
    """A document that is not brought in; `faults` are sentences, each with its place in the document."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class ModelPart(_Part):
    """What is noted about a model, and how it is loaded. What is not said stays as it is."""

    display_name: Word = ""
    tags: Annotated[list[Name], Field(max_length=100)] = []
    notes: Text = ""
    visible: bool = True
    retired: bool = False
    load_options: dict[str, Any] = {}


class AliasPart(_Part):
    """A name for a model, or, where that is empty, for whatever is loaded. What is not said stays as it is."""

    model: Word = ""
    sampling: dict[str, Any] = {}
    system_prompt: Text = ""
    everybody: bool = True
    groups: list[GroupName] = []
    retired: bool = False
    successor: Word = ""


class RulePart(_Part):
    """A whole rule: what is not said has its usual value."""

    name: Annotated[Word, Field(max_length=100)] = ""
    trigger: Trigger
    target: Word = ""
    tries: bool = False
    enabled: bool = True
    days: list[Annotated[int, Field(ge=1, le=7)]] = [1, 2, 3, 4, 5]
    at: time | None = None
    only_if_idle: bool = True
    idle_minutes: Annotated[float, Field(ge=0, le=100_000)] = 15.0
    wait_minutes: Annotated[int, Field(ge=0, le=1440)] = 60


def _known_language(name: str) -> str:
    if name and name not in LANGUAGES:
        raise ValueError(f"one of {', '.join(LANGUAGES)}, or empty")
    return name


Lines = Annotated[str, StringConstraints(max_length=bounds.LONGEST_LINES, pattern=NO_NUL)]
Prompt = Annotated[str, StringConstraints(max_length=bounds.LONGEST_PROMPT, pattern=NO_NUL)]


class CheckPart(_Part):
    """What a model is asked, and what its answer must fulfil. What is not said stays as it is."""

    enabled: bool = True
    before_serving: bool = True
    model: Word = ""
    tag: Annotated[Word, Field(max_length=64)] = ""
    prompt: Prompt = ""
    system_prompt: Prompt = ""
    sampling: dict[str, Any] = {}
    image: str = ""
    tools: list[Any] = []
    answers: bool = True
    ends_within: Annotated[int, Field(ge=1, le=bounds.LONGEST_ANSWER)] | None = None
    no_marks: bool = False
    no_repeats: bool = False
    no_gibberish: bool = False
    contains: Lines = ""
    excludes: Lines = ""
    matches: Annotated[Word, Field(max_length=300)] = ""
    json_schema: Any = None
    calls_tool: Annotated[Word, Field(max_length=64)] = ""
    language: Annotated[str, AfterValidator(_known_language)] = ""
    first_token_within: Annotated[float, Field(gt=0, le=3600)] | None = None
    least_rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    least_share: Annotated[int, Field(ge=1, le=100)] | None = None
    must_end: bool = False


class Document(_Part):
    """All parts, each thing by its name; rules are a list. A part that is left out changes nothing."""

    gantry_setup: Literal[1]
    models: dict[Name, ModelPart] = {}
    aliases: dict[Name, AliasPart] = {}
    rules: list[RulePart] = []
    checks: dict[CheckName, CheckPart] = {}
    groups: dict[GroupName, list[Name]] = {}


def read(raw: bytes) -> Document:
    """Return what JSON says. Raises SetupRefused, with the places of the first MOST_FAULTS faults."""
    if len(raw) > LARGEST:
        raise SetupRefused([f"The document is larger than {LARGEST:,} bytes."])
    try:
        text = raw.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # wrong UTF-8, too
        raise SetupRefused([f"This is no JSON document: {error}"]) from None
    version = found.get("gantry_setup") if isinstance(found, dict) else None
    if version != VERSION or type(version) is not int:
        raise SetupRefused(
            [f"gantry_setup: this Gantry reads documents of version {VERSION}, not {version!r:.40}."]
        )
    try:
        return Document.model_validate_json(text)
    except ValidationError as error:
        faults = [f"{place(*each['loc'])}: {each['msg']}" for each in error.errors()]
        raise SetupRefused(faults[:MOST_FAULTS]) from None


def place(*parts: str | int) -> str:
    """Return where something stands in the document, such as `models["Llama-3.1-8B"].notes`."""
    words = ""
    for part in parts:
        if part == "[key]":  # pydantic's word for the name itself
            continue
        plain = isinstance(part, str) and part.isidentifier()
        words += (
            f".{part}"
            if plain and words
            else str(part)
            if plain
            else f"[{json.dumps(part, ensure_ascii=False)}]"
        )
    return words


def differences(
    where: tuple[str | int, ...], before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> Found:
    """Yield (place, before, after) of each field that is another one; of something new, the whole."""
    if before is None:
        yield place(*where), None, dict(after)
        return
    for name, value in after.items():
        if before[name] != value:
            yield place(*where, name), before[name], value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError where it says a name twice: one of them would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{json.dumps(twice)} stands twice in one object")
    return found
