"""Aliases in calls: an alias' model, its sampling defaults and its system prompt, in the place of its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.asked import CHAT, Asked
from gateway.errors import Refused
from models_admin.aliases import sampling
from models_admin.aliases.book import KnownAlias, book


async def find(name: str, person: int) -> KnownAlias | None:
    """Return the alias of that name, if this user may use it. Raises Refused (404) where it is retired."""
    await book.ready()
    alias = book.find(name, person)
    if alias is not None and alias.retired:
        raise Refused(404, "model_not_found", alias.retired, param="model")
    return alias


async def model_of(name: str, person: int) -> str:
    """Return the model that a call asks for by this name: an alias' model, or else the name; '' for the team's."""
    await book.ready()
    alias = book.find(name, person)
    return alias.model if alias is not None else name


async def usable(person: int) -> list[KnownAlias]:
    """Return the aliases that this user may use now."""
    await book.ready()
    return [alias for alias in book.of_user(person) if not alias.retired]


async def applied(asked: Asked, person: int) -> Asked:
    """Return the call as if it named the alias' model; as it is, where it names no alias. Raises Refused (404)."""
    alias = await find(asked.model, person)
    if alias is None:
        return asked
    body = sampling.filled(asked.body, alias.sampling)
    if asked.endpoint == CHAT and alias.system_prompt:
        body["messages"] = _led(body["messages"], alias.system_prompt)
    return replace(asked, model=alias.model, alias=alias.name, body=body)


def _led(messages: Any, prompt: str) -> Any:
    """Return messages with the system prompt in front, where they have none; what is no list is for TabbyAPI to refuse."""
    if not isinstance(messages, list):
        return messages
    if any(isinstance(each, dict) and each.get("role") == "system" for each in messages):
        return messages
    return [{"role": "system", "content": prompt}, *messages]
