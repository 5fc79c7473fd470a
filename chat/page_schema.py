"""The events that chat pages are sent, and the frames that they send; models_admin/page_schema.py has what pages share."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from chat.models import Better, Role, Status, Thumb
from models_admin.page_schema import (
    AskedEvent,
    Backend,
    CatalogEvent,
    ErrorEvent,
    Moment,
    Ping,
    PongEvent,
    RequestsEvent,
)

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class Usage(TypedDict):
    """What a reply took; null where TabbyAPI did not say."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    tokens_per_second: float | None
    seconds: float | None


class Handover(TypedDict):
    """A model that began a reply which another one went on with, and how many characters it wrote."""

    model: str
    upto: int


class Versions(TypedDict):
    """Which of the messages with the same parent this is (from 1), and all of them, oldest first."""

    index: int
    count: int
    ids: list[int]


class Feedback(TypedDict):
    """What the reader says of a reply. `attached`: the administrators are shown the question and the reply, too."""

    thumb: Thumb
    words: str
    attached: bool


class Message(TypedDict):
    """A whole message."""

    id: int
    revision: Annotated[
        int, Field(description="Grows with each change of status: a lower one that comes late is old.")
    ]
    client_id: Annotated[Uuid | None, Field(description="The page's own name for a message that it sent.")]
    parent: int | None
    role: Role
    status: Status
    text: str
    html: str
    upto: Annotated[int, Field(description="Characters of the text that the HTML covers.")]
    reasoning: str
    reasoning_seconds: float | None
    model: str
    handovers: list[Handover]
    queue_position: Annotated[int | None, Field(description="1: next.")]
    usage: Usage | None
    finish_reason: str
    continuable: bool
    left_out: Annotated[int, Field(description="Oldest messages that the model was not given.")]
    error: str
    error_kind: str
    created_at: Moment
    versions: Versions
    feedback: Feedback | None
    compared_with: Annotated[
        int | None, Field(description="Of a comparison: the reply beside which it stands.")
    ]
    better: Annotated[Better | None, Field(description="Of a comparison: what its reader says of the two.")]


class Settings(TypedDict):
    """What a conversation's replies are asked with."""

    alias: Annotated[str, Field(description="Its defaults hold below these settings; empty: none.")]
    system_prompt: str
    temperature: float | None
    max_tokens: int | None


class AliasChoice(TypedDict):
    """An alias of a model (empty: of whatever is loaded). `retired` says that it is, in a sentence; empty: it is not."""

    name: str
    model: str
    retired: str


class AliasChoices(TypedDict):
    """The aliases that the user may use, and those of them that were retired."""

    aliases: list[AliasChoice]


class Conversation(Settings):
    id: Uuid
    title: str


class Listed(TypedDict):
    """A row of the list of conversations."""

    id: Uuid
    title: str
    pinned: bool
    updated_at: str


class Details(Listed, Settings):
    """A row of the list, and the conversation's settings."""


class ConversationList(TypedDict):
    """A page of the list. `next` is the `before` of the page that follows; null on the last one."""

    conversations: list[Listed]
    next: str | None


class Created(TypedDict):
    id: Uuid
    title: str


class Snippet(TypedDict):
    before: str
    match: str
    after: str


class Found(Listed):
    snippet: Snippet | None


class Results(TypedDict):
    results: list[Found]


class Earlier(TypedDict):
    """Messages that led to another one, oldest first, then comparisons with them; `earlier`: there are more before them."""

    messages: list[Message]
    earlier: bool


class Branch(Earlier):
    """A conversation, and the last messages of the branch that is shown. Comparisons with them follow them."""

    conversation: Conversation


class Person(TypedDict):
    """Who is signed in."""

    id: int
    name: str
    initials: str


class Boot(TypedDict):
    """What a chat page is given with its HTML."""

    user: Person
    conversation: Listed | None
    list: ConversationList
    aliases: list[AliasChoice]
    may_switch: bool
    max_chars: int


class ChatHello(Branch):
    """The first event of a conversation, and again when another branch is shown; then it goes to all pages alike."""

    type: Literal["hello"]
    backend: Backend
    account: NotRequired[int]


class MessageEvent(TypedDict):
    type: Literal["message"]
    message: Message


class ConversationEvent(TypedDict):
    type: Literal["conversation"]
    conversation: Conversation


class FeedbackEvent(TypedDict):
    """What the reader says of the reply `id` from now on."""

    type: Literal["feedback"]
    id: int
    feedback: Feedback | None


class TextDelta(TypedDict):
    """Text that goes on at `offset`, in characters."""

    type: Literal["delta"]
    id: int
    offset: int
    text: str


class ReasoningDelta(TypedDict):
    """Reasoning that goes on at `offset`, in characters."""

    type: Literal["delta"]
    id: int
    offset: int
    reasoning: str


class BlockEvent(TypedDict):
    """HTML that follows on what the page has; with it the HTML covers `upto` characters of the text."""

    type: Literal["block"]
    id: int
    upto: int
    html: str


class ChatErrorEvent(ErrorEvent):
    """Why a frame was not obeyed; `client_id`: the one that it had."""

    client_id: NotRequired[str]


ChatEvent = (
    ChatHello
    | MessageEvent
    | ConversationEvent
    | TextDelta
    | ReasoningDelta
    | BlockEvent
    | FeedbackEvent
    | ChatErrorEvent
    | Backend
    | RequestsEvent
    | CatalogEvent
    | AskedEvent
    | PongEvent
)


class Send(TypedDict):
    """A message, to be answered; behind `parent`, or at the end of the shown branch."""

    type: Literal["send"]
    client_id: Uuid
    text: str
    parent: NotRequired[int | None]


class Edit(TypedDict):
    """Another version of the person's message `id`."""

    type: Literal["edit"]
    client_id: Uuid
    text: str
    id: int


class OfMessage(TypedDict):
    """What is to be done with the message `id`.

    `compare`: another model is to answer the same. `keep`: what it answered becomes a version.
    """

    type: Literal["regenerate", "continue", "select", "stop", "resync", "compare", "keep"]
    id: int


class Judge(TypedDict):
    """Which is better, the comparison `id` or the reply beside which it stands; null: nothing is said of it any more."""

    type: Literal["judge"]
    id: int
    better: Better | None


ChatFrame = Send | Edit | OfMessage | Judge | Ping
