"""The HTTP API of conversations. Errors are {"detail": "…"}; other people's conversations are answered with 404."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponseBase
from ninja import Query, Router, Status
from ninja.errors import HttpError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from chat import aliases, conversations, replies
from chat.models import Conversation
from chat.page_schema import AliasChoices, ConversationList, Created, Details, Earlier, Results
from models_admin.aliases.sampling import HIGHEST_TEMPERATURE, LONGEST_PROMPT, MOST_TOKENS
from models_admin.api.auth import signed_in
from models_admin.api.schemas import problems
from models_admin.downloads import Download
from models_admin.visible import NO_NUL, visible

router = Router(auth=signed_in, tags=["conversations"])

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_NUL),
    AfterValidator(visible),
]
Prompt = Annotated[str, StringConstraints(max_length=LONGEST_PROMPT, pattern=NO_NUL)]
Temperature = Annotated[float, Field(ge=0, le=HIGHEST_TEMPERATURE, strict=True)]
Tokens = Annotated[int, Field(ge=1, le=MOST_TOKENS, strict=True)]
Alias = Annotated[str, StringConstraints(max_length=64, pattern=NO_NUL)]


class New(BaseModel):
    """How a conversation begins; its title comes from the first message unless one is given."""

    model_config = ConfigDict(extra="forbid")

    # The caller may choose it: sent again, it makes no second conversation.
    id: uuid.UUID | None = None
    title: Title | None = None
    alias: Alias = ""
    system_prompt: Prompt = ""
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None


class Change(BaseModel):
    """What is to be changed; what is not named stays. Null takes a temperature or a limit away."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    pinned: StrictBool | None = None
    alias: Alias | None = None
    system_prompt: Prompt | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None


def _own(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    found = conversations.owned(request.user).filter(pk=conversation_id).first()
    if found is None:
        raise HttpError(404, "There is no such conversation, or it has been deleted.")
    return found


def _details(conversation: Conversation) -> Details:
    return {
        **conversations.describe(conversation),
        "alias": conversation.alias,
        "system_prompt": conversation.system_prompt,
        "temperature": conversation.temperature,
        "max_tokens": conversation.max_tokens,
    }


def _alias(request: HttpRequest, name: str) -> str:
    """Return the name of the alias that is chosen; '' for none. Raises HttpError (422) where the user may not choose it."""
    found = aliases.usable(name, request.user.pk or 0) if name else ""
    if found is None:
        raise HttpError(422, "alias: you may not choose this one. Choose another, or none.")
    return found


@router.get("/aliases", response={200: AliasChoices, **problems()}, operation_id="list_alias_choices")
def alias_choices(request: HttpRequest) -> AliasChoices:
    """List the aliases of models that you may choose for a conversation, and the retired ones."""
    return {"aliases": aliases.choices(request.user.pk or 0)}


@router.get(
    "/conversations", response={200: ConversationList, **problems(422)}, operation_id="list_conversations"
)
def listed(
    request: HttpRequest, before: str = "", limit: Annotated[int, Query(ge=1, le=200)] = conversations.PAGE
) -> ConversationList:
    """List your conversations, newest first; the pinned ones come with the first page."""
    try:
        return conversations.page(request.user, before, limit)
    except ValueError:
        raise HttpError(422, "before: send the `next` of an earlier page, as it was given.") from None


@router.post(
    "/conversations",
    response={201: Created, **problems(400, 409, 413, 422)},
    operation_id="create_conversation",
)
def create(request: HttpRequest, body: New | None = None) -> Status[Any]:
    """Begin a conversation."""
    new, owner = body or New(), request.user.pk or 0  # who got here has signed in
    fields = new.model_dump(exclude={"id"}) | {
        "title": new.title or "",
        "alias": _alias(request, new.alias),
        "owner_id": owner,
    }
    made, _ = Conversation.objects.get_or_create(pk=new.id or uuid.uuid4(), defaults=fields)
    if made.owner_id != owner or made.deleted_at is not None:
        raise HttpError(409, "id: there is such a conversation already. Choose another one.")
    return Status(201, {"id": str(made.pk), "title": str(made)})


@router.get(
    "/conversations/search", response={200: Results, **problems(422)}, operation_id="search_conversations"
)
def search(request: HttpRequest, q: Annotated[str, Query(max_length=200)]) -> Results:
    """Find conversations by words of their titles and messages."""
    return {"results": conversations.search(request.user, q.replace("\0", ""))}


@router.get(
    "/conversations/{uuid:conversation_id}",
    response={200: Details, **problems(404)},
    operation_id="show_conversation",
)
def show(request: HttpRequest, conversation_id: uuid.UUID) -> Details:
    """Show one conversation's title and settings."""
    return _details(_own(request, conversation_id))


@router.patch(
    "/conversations/{uuid:conversation_id}",
    response={200: Details, **problems(400, 404, 413, 422)},
    operation_id="change_conversation",
)
def change(request: HttpRequest, conversation_id: uuid.UUID, body: Change) -> Details:
    """Rename or pin a conversation, or change what its replies are asked with."""
    conversation = _own(request, conversation_id)
    changes = body.model_dump(exclude_unset=True)
    for name in ("title", "pinned", "alias", "system_prompt"):
        if name in changes and changes[name] is None:
            raise HttpError(422, f"{name}: null is not possible; leave it out to keep what it is.")
    if changes.get("alias", conversation.alias) != conversation.alias:
        changes["alias"] = _alias(request, changes["alias"])
    for name, value in changes.items():
        setattr(conversation, name, value)
    if changes:
        conversation.save(update_fields=list(changes))
    return _details(conversation)


@router.delete(
    "/conversations/{uuid:conversation_id}",
    response={204: None, **problems(404)},
    operation_id="delete_conversation",
)
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> Status[Any]:
    """Delete a conversation. `restore` brings it back, but for exchanges that were attached to feedback."""
    conversation = _own(request, conversation_id)
    conversations.delete(conversation.pk)
    replies.stop_all(conversation.pk)
    return Status(204, None)


@router.post(
    "/conversations/{uuid:conversation_id}/restore",
    response={200: Details, **problems(404)},
    operation_id="restore_conversation",
)
def restore(request: HttpRequest, conversation_id: uuid.UUID) -> Details:
    """Take a deletion back."""
    Conversation.objects.filter(pk=conversation_id, owner_id=request.user.pk).update(deleted_at=None)
    return _details(_own(request, conversation_id))


@router.get(
    "/conversations/{uuid:conversation_id}/messages",
    response={200: Earlier, **problems(404, 422)},
    operation_id="list_earlier_messages",
)
def earlier(
    request: HttpRequest, conversation_id: uuid.UUID, before: Annotated[int, Query(ge=1, le=2**63 - 1)]
) -> Earlier:
    """List the messages that led to the message `before`, oldest first: what a long conversation's page shows next."""
    try:
        return conversations.earlier(_own(request, conversation_id), before)
    except LookupError:
        raise HttpError(404, "There is no such message in this conversation.") from None


@router.get("/conversations/{uuid:conversation_id}/export.md", include_in_schema=False)
def export_markdown(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """Download the shown branch as Markdown."""
    conversation = _own(request, conversation_id)
    return Download(_file_name(conversation, "md"), conversations.markdown(conversation), "text/markdown")


@router.get("/conversations/{uuid:conversation_id}/export.json", include_in_schema=False)
def export_json(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponseBase:
    """Download everything, all versions of all messages, as JSON."""
    conversation = _own(request, conversation_id)
    return Download(
        _file_name(conversation, "json"), conversations.document(conversation), "application/json"
    )


def _file_name(conversation: Conversation, ending: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", str(conversation)).strip("-")[:60] or "conversation"
    return f"{name}.{ending}"
