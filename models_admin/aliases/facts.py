"""An alias as programs are shown it: by the HTTP API and by the command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from models_admin.models import Alias, AliasChange, AliasEvent
from models_admin.page_schema import Moment

MOST_PAST = 200  # changes that are shown


class AliasFacts(TypedDict):
    """An alias, and what calls that name it are given."""

    name: str
    model: Annotated[str, Field(description="What it stands for; empty: whatever is loaded.")]
    answers: Annotated[bool, Field(description="Its model is loaded, and it is not retired.")]
    sampling: Annotated[
        dict[str, float],
        Field(description="For what a call does not say itself.", examples=[{"temperature": 0.2}]),
    ]
    system_prompt: str
    groups: Annotated[
        list[str] | None,
        Field(description="Whose members may use it, beside superusers; null: everybody."),
    ]
    retired_at: Moment | None
    successor: Annotated[str, Field(description="What to use instead, where it is retired; empty: nothing.")]
    created_at: Moment


class AliasPast(TypedDict):
    """Something that was done with an alias. `before` and `after` are models; `after` of a retired one is its successor."""

    at: Moment
    by: Annotated[str, Field(description="The user who did it; empty: a command, or somebody who is gone.")]
    event: AliasEvent
    before: str
    after: str


class AliasDetails(AliasFacts):
    """An alias, and what it has stood for, newest first."""

    history: list[AliasPast]


def describe(rows: Iterable[Alias], loaded: str) -> list[AliasFacts]:
    """Return aliases, whose groups are prefetched or read; `loaded`: the model that is, '' if none is."""
    return [
        {
            "name": row.name,
            "model": row.model,
            "answers": row.answers(loaded),
            "sampling": row.sampling,
            "system_prompt": row.system_prompt,
            "groups": None if row.everybody else sorted(each.name for each in row.groups.all()),
            "retired_at": row.retired_at.isoformat() if row.retired_at else None,
            "successor": row.successor,
            "created_at": row.created_at.isoformat(),
        }
        for row in rows
    ]


def past(row: Alias) -> list[AliasChange]:
    """Return what was done with an alias, newest first, with the users who did it."""
    return list(row.changes.select_related("by").order_by("-id")[:MOST_PAST])


def details(row: Alias, loaded: str) -> AliasDetails:
    """Return an alias with its history."""
    (facts,) = describe([row], loaded)
    history: list[AliasPast] = [
        {
            "at": each.at.isoformat(),
            "by": each.by.get_username() if each.by else "",
            "event": AliasEvent(each.event),
            "before": each.before,
            "after": each.after,
        }
        for each in past(row)
    ]
    return {**facts, "history": history}
