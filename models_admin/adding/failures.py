"""What goes wrong with a download, in words: what TabbyAPI passes on of its hub's and its system's errors, read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models_admin.models import ModelDownload
from models_admin.tabby.errors import (
    Garbled,
    InternalError,
    KeyRefused,
    TabbyError,
    TimedOut,
    Unreachable,
    sentence,
)
from models_admin.visible import visible

AGAIN = "Try again."
MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """The columns of a download that failed."""

    error_kind: str
    error: str
    advice: str


# The first that is found in TabbyAPI's words decides: (pattern, kind, what, what to do).
_KINDS: tuple[tuple[re.Pattern[str], str, str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, what, advice)
    for pattern, kind, what, advice in (
        (r"already exists", "exists", "TabbyAPI's model folder has {folder} already",
         "Choose another folder, or remove that one. TabbyAPI cannot delete it, and lists it even where it is not whole."),
        (r"repository not found|repo id must|RepositoryNotFound", "unknown", "The hub has no repository {repository}",
         "Check its name. One that is private is not shown without a token."),
        (r"revision not found|invalid rev id", "unknown", "{repository} has no revision {revision}",
         "Check the name of the branch, tag or commit."),
        (r"check your filters", "nothing", "No file of {repository} fits what is to be included",
         "Leave the patterns out, or mend them."),
        (r"gated|restricted|authorized list|\b40[13]\b|invalid (?:user|token)|unauthorized|forbidden", "gated",
         "The hub does not let this Gantry have {repository}",
         "Ask for access on the hub's page of it, and give a token of an account that has it."),
        (r"no space left|errno 28|disk quota|errno 122", "no_room", "TabbyAPI's disk has no room for {repository}",
         "Make room on the disk of TabbyAPI's model folder, then try again. What had come was deleted."),
        (r"permission denied|read-only file system|errno 13|errno 30", "not_writable",
         "TabbyAPI may not write into its model folder", "Give its user the right to, or mount the folder writable."),
        (r"payload|connect|resolve|timed? ?out|ssl|max retries|reset|\b5\d\d\b|name or service|disconnected|\b429\b",
         "connection", "The connection between TabbyAPI and the hub broke",
         "Try again; what had come was deleted, and TabbyAPI begins anew. See that its machine reaches the hub."),
    )
)  # fmt: skip


def read(download: ModelDownload, error: TabbyError, token: str = "") -> Failure:
    """Return why the download failed, in words; a token in TabbyAPI's is left out."""
    words = error.words.replace(token, "•••") if token else error.words
    if isinstance(error, Unreachable | Garbled | TimedOut) and not words:
        return Failure(
            error.kind, str(error),
            f"TabbyAPI went away, or does not know this request. Look whether it has left an unfinished folder "
            f"{download.folder}, and remove that. Then try again.",
        )  # fmt: skip
    if isinstance(error, KeyRefused | InternalError):
        return Failure(error.kind, str(error), error.advice)
    named = {
        "repository": download.repository, "folder": download.folder, "revision": download.revision or "main"
    }  # fmt: skip
    for pattern, kind, what, advice in _KINDS:
        if pattern.search(words):
            return Failure(kind, _told(what.format(**named), words), advice)
    if not words:
        return Failure("time_limit", "TabbyAPI gave the download up without saying why.", AGAIN)
    return Failure(
        "failed",
        _told(f"TabbyAPI could not download {download.repository}", words),
        "Look into TabbyAPI's log.",
    )


def _told(what: str, words: str) -> str:
    return sentence(visible(f"{what}: {' '.join(words.split())[:MOST_WORDS]}"))


def exists(error: TabbyError) -> bool:
    """Whether TabbyAPI says that the folder is there."""
    return _KINDS[0][0].search(error.words) is not None
