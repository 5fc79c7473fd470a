"""A person's conversations: listed, searched, exported, deleted with the account. Every query begins with the owner."""

from __future__ import annotations

import datetime
import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chat import feedback, page_schema, replies, wire, words
from chat.models import OPEN, Conversation, Feedback, Message, Role
from models_admin.downloads import batches

User = AbstractBaseUser | AnonymousUser

PAGE = 60
RESULTS = 40
CANDIDATES = 4000  # messages, the newest of those that the index gives a search
CANDIDATES_AT_ONCE = 1000  # messages whose conversations are read at once
TEXTS_AT_ONCE = 100  # messages whose texts are read at once
EARLIER = 100  # messages
READ_AT_ONCE = 20  # messages of an export: each may be as long as a message can be
DELETED_AT_ONCE = 1000  # messages
AROUND = 60  # characters of context on each side of what a search found


def owned(user: User) -> QuerySet[Conversation]:
    """Return the user's conversations that are not deleted."""
    return Conversation.objects.filter(owner_id=user.pk, deleted_at=None)


def describe(conversation: Conversation) -> page_schema.Listed:
    """Return what lists show of a conversation."""
    return {
        "id": str(conversation.pk),
        "title": str(conversation),
        "pinned": conversation.pinned,
        "updated_at": conversation.updated_at.isoformat(),
    }


def page(user: User, before: str = "", limit: int = PAGE) -> page_schema.ConversationList:
    """Return a page of the list: newest first, the pinned ones all on the first page.

    `before` is the `next` of the page before; `next` is null on the last page. Raises ValueError for any other `before`.
    """
    rows = owned(user).filter(pinned=False).order_by("-updated_at", "-pk")
    if before:
        when, pk = _read_cursor(before)
        rows = rows.filter(Q(updated_at__lt=when) | Q(updated_at=when, pk__lt=pk))
        pinned: list[Conversation] = []
    else:
        pinned = list(owned(user).filter(pinned=True).order_by("-updated_at"))
    found = list(rows[: limit + 1])
    more = len(found) > limit
    last_row = found[limit - 1] if more else None
    return {
        "conversations": [describe(each) for each in [*pinned, *found[:limit]]],
        "next": f"{last_row.updated_at.isoformat()},{last_row.pk}" if last_row else None,
    }


def _read_cursor(before: str) -> tuple[datetime.datetime, uuid.UUID]:
    moment, _, last = before.partition(",")
    when, pk = datetime.datetime.fromisoformat(moment), uuid.UUID(last)
    if when.tzinfo is None:
        raise ValueError("a time without its zone")
    try:
        return when.astimezone(datetime.UTC), pk
    except OverflowError:
        raise ValueError("a time before or after all times") from None


def search(user: User, query: str) -> list[page_schema.Found]:
    """Return the conversations in which the title or one message has all words of `query`, the newest first.

    The snippet is around the first word in a message. Case does not matter. A title is searched for the words anywhere, the
    index of messages for words that begin with them.
    """
    asked = [word.casefold() for word in query.split()[:8]]
    if not asked:
        return []
    titles = dict(owned(user).values_list("pk", "title"))
    titled = [pk for pk, title in titles.items() if _has_all(title, asked)][:RESULTS]
    matches = _matches(user, asked, titles.keys())
    rows = owned(user).filter(pk__in=[*titled, *matches]).order_by("-updated_at")[:RESULTS]
    return [
        {**describe(row), "snippet": _snippet(matches.get(row.pk, ""), query.split(maxsplit=1)[0])}
        for row in rows
    ]


def _matches(user: User, asked: list[str], mine: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the newest of the conversations `mine` in which one message has all the words, with that message's text."""
    matches: dict[uuid.UUID, str] = {}
    for candidates in _candidates(user, asked, mine):
        left = [(pk, where) for pk, where in candidates if where in mine and where not in matches]
        each = 1
        while left:
            tried = _newest(left, each)
            texts = Message.objects.filter(pk__in=tried).order_by("-pk")
            for where, text in texts.values_list("conversation_id", "text"):
                if where not in matches and _has_all(text, asked):
                    matches[where] = text
            left = [(pk, where) for pk, where in left if pk not in tried and where not in matches]
            each *= 2
        if len(matches) >= RESULTS:
            break
    return matches


def _candidates(
    user: User, asked: list[str], mine: Collection[uuid.UUID]
) -> Iterator[list[tuple[int, uuid.UUID]]]:
    """Yield messages that may have all the words, with their conversations, in lists and the newest first."""
    opened = Message.objects.filter(status__in=OPEN, conversation__owner_id=user.pk).order_by("-pk")
    yield list(opened.values_list("pk", "conversation_id"))
    owner = user.pk or 0
    if (yield from words.frequent(owner, asked, mine, CANDIDATES)):
        for some in batches(words.matching(owner, asked, CANDIDATES), CANDIDATES_AT_ONCE):
            candidates = Message.objects.filter(pk__in=some).order_by("-pk")
            yield list(candidates.values_list("pk", "conversation_id"))


def _newest(messages: list[tuple[int, uuid.UUID]], each: int) -> set[int]:
    """Return the newest of the messages: TEXTS_AT_ONCE at most, and `each` at most of a conversation."""
    found: set[int] = set()
    taken: Counter[uuid.UUID] = Counter()
    for pk, where in messages:
        if taken[where] < each and len(found) < TEXTS_AT_ONCE:
            taken[where] += 1
            found.add(pk)
    return found


def _has_all(text: str, asked: list[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in asked)


def _snippet(text: str, word: str) -> page_schema.Snippet | None:
    at = text.lower().find(word.lower())
    if at < 0:
        return None
    start, end = max(0, at - AROUND), at + len(word) + AROUND
    return {
        "before": ("…" if start else "") + text[start:at],
        "match": text[at : at + len(word)],
        "after": text[at + len(word) : end] + ("…" if end < len(text) else ""),
    }


def earlier(conversation: Conversation, before: int, limit: int = EARLIER) -> page_schema.Earlier:
    """Return the `limit` last messages that led to the message `before`, and comparisons with them.

    Raises LookupError for one that is not there.
    """
    parents = dict(conversation.messages.values_list("pk", "parent_id"))
    at = parents[before]
    path: list[int] = []
    while at is not None and len(path) < limit:
        path.append(at)
        at = parents[at]
    beside = list(conversation.messages.filter(compared_with__in=path).values_list("pk", flat=True))
    rows = {row["id"]: row for row in wire.messages([*path, *beside], conversation.pk)}
    return {"messages": [rows[pk] for pk in (*reversed(path), *beside)], "earlier": at is not None}


def branch(conversation: Conversation) -> list[int]:
    """Return the ids of the messages of the shown branch, oldest first."""
    parents = dict(conversation.messages.values_list("pk", "parent_id"))
    path: list[int] = []
    at = conversation.head_id
    while at is not None and at in parents:
        path.append(at)
        at = parents[at]
    return path[::-1]


def markdown(conversation: Conversation) -> Iterator[str]:
    """Yield the shown branch as one Markdown document, in parts."""
    head = [f"# {conversation}"]
    if conversation.system_prompt:
        head.append(f"> {conversation.system_prompt}".replace("\n", "\n> "))
    yield "\n\n".join(head)
    for batch in batches(branch(conversation), READ_AT_ONCE):
        found = Message.objects.defer("html", "reasoning").select_related("feedback").in_bulk(batch)
        yield "".join(_as_markdown(found[pk]) for pk in batch if pk in found)
    yield "\n"


def _as_markdown(message: Message) -> str:
    name = "You" if message.role == Role.USER else message.model or "Reply"
    error = f"\n\n*{message.error}*" if message.error else ""
    given: Feedback | None = getattr(message, "feedback", None)
    said = f"\n\n*Your feedback: {feedback.in_words(given)}*" if given else ""
    return f"\n\n## {name}\n\n{message.text.strip()}{error}{said}"


EXPORTED = (
    "id", "parent_id", "compared_with_id", "role", "status", "text", "reasoning", "model", "usage", "error", "created_at",
)  # fmt: skip


def document(conversation: Conversation) -> Iterator[str]:
    """Yield the whole conversation, every version of every message, as one JSON document, in parts."""
    facts = {
        **describe(conversation),
        "created_at": conversation.created_at,
        "alias": conversation.alias,
        "system_prompt": conversation.system_prompt,
        "temperature": conversation.temperature,
        "max_tokens": conversation.max_tokens,
        "shown": branch(conversation),
    }
    yield _as_json(facts)[:-1] + ', "messages": ['
    between = ""
    every = conversation.messages.order_by("id").values_list("pk", flat=True)
    for batch in batches(every, READ_AT_ONCE):
        part, given = "", Feedback.objects.in_bulk(batch, field_name="message_id")
        rows = Message.objects.filter(pk__in=batch).order_by("id")
        for row in rows.values(*EXPORTED, better=F("verdict__better")):
            part += between + _as_json(
                {**row, "usage": wire.usage(row["usage"]), "feedback": wire.feedback(given.get(row["id"]))}
            )
            between = ", "
        yield part
    yield "]}"


def _as_json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, cls=DjangoJSONEncoder)


def delete(conversation_id: uuid.UUID) -> None:
    """Mark a conversation as deleted; what was attached to feedback on its replies goes for good."""
    with transaction.atomic():
        Conversation.objects.filter(pk=conversation_id).update(deleted_at=timezone.now())
        feedback.drop_exchanges(Message.objects.filter(conversation=conversation_id).values("pk"))


def delete_all(user_id: int) -> None:
    """Close an account, and delete all its conversations for good, in small transactions, between which others can write.

    Its open replies are stopped first, and again before each transaction, as its sockets may go on for a moment.
    """
    get_user_model().objects.filter(pk=user_id).update(is_active=False)
    opened = Message.objects.filter(status__in=OPEN, conversation__owner_id=user_id).order_by()
    while some := list(Conversation.objects.filter(owner_id=user_id).values_list("pk", flat=True)[:20]):
        for running in opened.values_list("conversation_id", flat=True).distinct():
            replies.stop_all(running)
        while _delete_some(some):
            pass


def _delete_some(some: Collection[uuid.UUID]) -> int:
    """Delete the newest messages of these conversations, DELETED_AT_ONCE at most; return how many.

    If there are none left, delete the conversations, and return 0. Conversations are locked before messages, each in the
    order of their ids, as in all other code.
    """
    with transaction.atomic():
        list(Conversation.objects.select_for_update().filter(pk__in=some).order_by("pk").values_list("pk"))
        # The newest first: a message goes before its parent.
        ids = Message.objects.filter(conversation__in=some).order_by("-pk").values_list("pk", flat=True)
        newest = Message.objects.filter(pk__in=list(ids[:DELETED_AT_ONCE]))
        if not (locked := newest.select_for_update().order_by("pk").values_list("pk", flat=True)):
            Conversation.objects.filter(pk__in=some).delete()
            return 0
        feedback.drop_exchanges(list(locked))
        newest.delete()
        return len(locked)
