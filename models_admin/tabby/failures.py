"""Chooses the exception for what TabbyAPI answered: by its status and its words."""

from __future__ import annotations

import re

from models_admin.tabby.errors import (
    Busy,
    ContextOverflow,
    FilesBroken,
    Garbled,
    KeyRefused,
    LoadFailed,
    ModelMissing,
    NoTemplate,
    NotLoaded,
    OutOfMemory,
    Rejected,
    ServerFault,
    TabbyError,
)

_NO_MEMORY = re.compile(
    r"out ?of ?memory|\boom\b|insufficient (?:v?ram|memory|space)|not enough (?:v?ram|memory|space)"
    r"|(?:cannot|can't|could not|unable to|failed to) (?:allocate|reserve)|does(?: not|n't) fit"
    r"|cudaMalloc|alloc_failed",
    re.IGNORECASE,
)
_BROKEN_FILES = re.compile(
    r"safetensor|corrupt|truncated|header|no such file|not found|could not find|cannot find|missing"
    r"|incomplete|unexpected (?:end|eof)|invalid (?:json|magic|file)|jsondecode|expecting value|checksum"
    r"|unpickl",
    re.IGNORECASE,
)
_NO_TEMPLATE = re.compile(r"prompt template is not set|chat completions are disabled", re.IGNORECASE)
_TEMPLATE_FAULT = re.compile(r"TemplateError\b")
_NO_FOLDER = re.compile(r"could not find the (?:draft )?model", re.IGNORECASE)
_NO_MODEL = re.compile(r"\bno models? (?:(?:is|are) )?(?:currently )?loaded", re.IGNORECASE)


def load_failure(model: str, words: str) -> LoadFailed:
    """Return the exception for a load of `model` that ended in an error event, chosen by TabbyAPI's words."""
    if _NO_MEMORY.search(words):
        return OutOfMemory(f"{model} does not fit the GPU's memory", words)
    if _BROKEN_FILES.search(words):
        return FilesBroken(f"The files of {model} cannot be read", words)
    return LoadFailed(f"TabbyAPI could not load {model}", words)


def says_no_model(words: str) -> bool:
    """Whether TabbyAPI's words mean that no model is loaded."""
    return _NO_MODEL.search(words) is not None


def status_failure(status: int, doing: str, words: str, *, code: str = "") -> TabbyError:
    """Return the exception for an answer with an HTTP status other than 200.

    `doing` completes "TabbyAPI … while …", such as "listing the models"; `code` is the error's own code,
    where it has one.
    """
    kind: type[TabbyError] = Rejected
    what = "TabbyAPI did not accept the request"
    if status in (401, 403):
        kind, what = KeyRefused, "TabbyAPI refused the key"
    elif says_no_model(words):
        kind, what = NotLoaded, "TabbyAPI has no model loaded"
    elif code == "context_length_exceeded":
        kind, what = ContextOverflow, "The conversation is too long for the model"
    elif _NO_TEMPLATE.search(words):
        kind, what = NoTemplate, "The loaded model has no chat template, so it cannot chat"
    elif _TEMPLATE_FAULT.match(words):
        kind, what = NoTemplate, "The chat template of the loaded model refuses this conversation"
    elif status in (429, 503):
        kind, what = Busy, f"TabbyAPI is busy ({status})"
    elif status >= 500:
        kind, what = ServerFault, f"TabbyAPI failed ({status})"
    elif status not in (400, 413, 422):
        # TabbyAPI has the paths that are asked for, and never redirects: somebody else answered.
        kind, what = Garbled, f"The server answered {status}, which TabbyAPI never does,"
    elif _NO_FOLDER.search(words):
        kind, what = ModelMissing, "TabbyAPI has no such model"
    return kind(f"{what} while {doing}", words)
