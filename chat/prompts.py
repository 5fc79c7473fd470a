"""What a model is given to answer: the branch above a reply, as TabbyAPI takes it, the oldest turn first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chat.models import Message


def above(replies: Sequence[Message]) -> dict[int, list[dict[str, str]]]:
    """The prompt for each of the replies, by its id."""
    conversations = {reply.conversation_id for reply in replies}
    rows = {
        pk: (parent, role, text)
        for pk, parent, role, text in Message.objects.filter(conversation__in=conversations).values_list(
            "pk", "parent_id", "role", "text"
        )
    }
    return {reply.pk: _branch(reply, rows) for reply in replies}


def _branch(message: Message, rows: Mapping[int, tuple[int | None, str, str]]) -> list[dict[str, str]]:
    turns: list[dict[str, str]] = []
    at = message.parent_id
    while at is not None and at in rows:
        parent, role, text = rows[at]
        if text:
            turns.append({"role": role, "content": text})
        at = parent
    if message.conversation.system_prompt:
        turns.append({"role": "system", "content": message.conversation.system_prompt})
    return turns[::-1]


def without_oldest(prompt: list[dict[str, str]]) -> list[dict[str, str]] | None:
    """`prompt` without its oldest turns (a quarter of them, at least one person's and its reply); None if none can go."""
    system = prompt[:1] if prompt and prompt[0]["role"] == "system" else []
    turns = prompt[len(system) :]
    drop = max(2, len(turns) // 4)
    while drop < len(turns) and turns[drop]["role"] != "user":
        drop += 1
    return [*system, *turns[drop:]] if drop < len(turns) else None
