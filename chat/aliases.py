"""The alias that was chosen for a conversation: what its replies are asked with, below the conversation's own settings."""

from __future__ import annotations

import logging

from django.db import DatabaseError

from chat.models import Conversation
from chat.page_schema import AliasChoice
from models_admin.aliases.book import KnownAlias, book

log = logging.getLogger(__name__)


def of_conversation(conversation: Conversation) -> KnownAlias | None:
    """Return a conversation's alias; None without one, where it is retired, and where its owner may not use it any more.

    Which model that is does not count here: where several are loaded, model_of() is asked.
    """
    if not conversation.alias:
        return None
    try:
        book.refresh()
    except DatabaseError as error:  # the reply has begun already: what is known has to do
        log.warning("Aliases cannot be read: %s", error)
    found = book.find(conversation.alias, conversation.owner_id)
    return None if found is None or found.retired else found


def model_of(conversation: Conversation) -> str:
    """Return the model that a conversation asks for, by its alias; '' where it asks for none."""
    alias = of_conversation(conversation)
    return alias.model if alias else ""


def usable(name: str, user: int) -> str | None:
    """Return the name as the alias has it, if this user may choose it; None if not."""
    book.refresh()
    found = book.find(name, user)
    return None if found is None or found.retired else found.name


def choices(user: int) -> list[AliasChoice]:
    """Return the aliases that a user may use, and those of them that were retired, which their conversations may name."""
    book.refresh()
    return [{"name": each.name, "model": each.model, "retired": each.retired} for each in book.of_user(user)]
