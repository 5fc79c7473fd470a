"""The schemas of what the HTTP API takes and returns."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field, SecretStr, StrictStr

from models_admin.page_schema import BackendState, CheckOutcome, Moment, Switch
from models_admin.visible import NO_NUL

LARGEST_ID = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
NAME = "Llama-3.1-8B-Instruct"


class Problem(Schema):
    """What went wrong, in a sentence or two for people."""

    detail: str


class Model(Schema):
    """A model in TabbyAPI's catalog; the id is its directory there."""

    id: str
    name: str
    active: bool


class Models(Schema):
    models: list[Model]


class ModelFacts(Model):
    """A model, and what is noted about it."""

    tags: list[str]
    notes: str
    parameters_b: Annotated[float | None, Field(description="Billions of parameters, by the name.")]
    quantization: str
    visible: Annotated[bool, Field(description="Whether it is shown in chat.")]


class ModelsFacts(Schema):
    models: list[ModelFacts]


class Active(Schema):
    """What TabbyAPI runs. `model` is null where that is none, or one that you are not shown."""

    state: BackendState
    model: ModelFacts | None
    loaded_at: Moment | None
    context: Annotated[int | None, Field(description="Tokens.")]
    busy_with: Annotated[
        str | None,
        Field(description="A model whose load was given up, and which TabbyAPI is still busy with."),
    ]


class Refreshed(Schema):
    """What TabbyAPI's list had that Gantry's had not, and the other way round."""

    added: list[str]
    vanished: list[str]


class Server(Schema):
    """A TabbyAPI server, as it is now."""

    name: Annotated[
        str, Field(description="As in TABBY_HOST; empty where that names none.", examples=["gpu1"])
    ]
    address: Annotated[str, Field(description="Without credentials.", examples=["http://10.0.0.5:5000"])]
    state: BackendState
    model: Annotated[
        str, Field(description="The loaded one, or the one that was when it last answered; empty: none.")
    ]
    loaded_at: Moment | None
    context: Annotated[int | None, Field(description="Tokens.")]
    replying: Annotated[int, Field(description="Replies in flight.")]
    tokens_per_second: Annotated[
        float | None,
        Field(
            description="That it wrote in the last few seconds, for chat and programs; null while Redis is away."
        ),
    ]
    in_service: Annotated[bool, Field(description="It is given replies, as long as it can answer.")]
    out_of_service_since: Moment | None
    unreachable_since: Moment | None
    switch: Annotated[Switch | None, Field(description="The one under way.")]
    error: Annotated[
        str,
        Field(
            description="What is wrong now, or why its last switch failed within the last hour; empty: nothing."
        ),
    ]


class Servers(Schema):
    servers: list[Server]


class TakeOut(Schema):
    """`force`: also the last server that answers. `let_go`: replies in flight go on at other servers at once."""

    model_config = ConfigDict(extra="forbid")

    force: Annotated[bool, Field(strict=True)] = False
    let_go: Annotated[bool, Field(strict=True)] = False


SERVERS = "Of several servers, the names of those to change, one after the other."
MOST_SERVERS = 100


class _Load(Schema):
    """A model; for this once, its options, how many seconds replies in flight may take (0: none), whether files count."""

    model_config = ConfigDict(extra="forbid")

    model_id: StrictStr
    options: dict[str, Any] = {}
    drain_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False, strict=True)] | None = None
    force: Annotated[
        bool, Field(description="Load it although its files show that TabbyAPI cannot.", strict=True)
    ] = False


class SwitchTo(_Load):
    """The model to load; for this once, load options, and how many seconds replies in flight may take (0: none)."""

    # The shape is declared for readers; a name that does not fit is refused with a sentence of its own.
    model_id: Annotated[
        StrictStr,
        Field(examples=[NAME], json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[^/\\]+$"}),
    ]
    skip_checks: Annotated[
        bool, Field(description="Have it serve without the checks before serving.", strict=True)
    ] = False
    servers: Annotated[
        list[Annotated[StrictStr, Field(max_length=32)]],
        Field(description=f"{SERVERS} Empty: all that can be asked.", max_length=MOST_SERVERS),
    ] = []


class AddModel(Schema):
    """What TabbyAPI is to download from its hub."""

    model_config = ConfigDict(extra="forbid")

    repository: Annotated[StrictStr, Field(examples=["turboderp/Qwen3-8B-exl3"], max_length=255)]
    folder: Annotated[
        StrictStr,
        Field(description="In TabbyAPI's model folder; empty: the repository's own name.", max_length=255),
    ] = ""
    revision: Annotated[StrictStr, Field(description="A branch, tag or commit.", max_length=255)] = ""
    include: Annotated[
        list[Annotated[StrictStr, Field(max_length=255)]],
        Field(description="Patterns of names of files, such as *.safetensors; none: all.", max_length=50),
    ] = []
    token: Annotated[
        SecretStr, Field(description="For a repository that takes one. It is never shown again.")
    ] = SecretStr("")


class ModelId(Schema):
    """A model, by its folder in TabbyAPI."""

    model_config = ConfigDict(extra="forbid")

    model_id: Annotated[StrictStr, Field(examples=[NAME], max_length=255, pattern=NO_NUL)]


class ModelFiles(Schema):
    """Where a model's files are. TabbyAPI deletes none: `command` would, in a shell on its machine."""

    place: str
    size: Annotated[str, Field(examples=["5.4 GB"], description="Empty where it is not known.")]
    command: str


class Retirement(Schema):
    """A model that may be retired, and what names it: that does nothing while it is."""

    model_id: Annotated[str, Field(examples=[NAME])]
    retired: bool
    aliases: list[str]
    rules: list[str]
    requests: Annotated[int, Field(description="Of people who wait for it.")]
    kept: Annotated[bool, Field(description="KEEP_MODEL names it.")]
    files: ModelFiles


class SetupChange(Schema):
    """What changes at a place of the document; `before` is null for what is new."""

    place: str
    before: Any
    after: Any


class SetupChanges(Schema):
    dry_run: bool
    changes: list[SetupChange]


class TryOut(_Load):
    """The model to try out; load options for it, and how many seconds replies in flight may take (0: none)."""

    model_id: Annotated[StrictStr, Field(examples=[NAME], max_length=255, pattern=NO_NUL)]
    only_if_idle: Annotated[
        bool, Field(description="Give way where somebody uses the model or waits.", strict=True)
    ] = False
    server: Annotated[
        StrictStr | None,
        Field(description="Of several servers, the one to try it on.", max_length=32, pattern=NO_NUL),
    ] = None


class Tried(Schema):
    """A try is done, and what was loaded before is loaded again; checks may have failed."""

    message: Annotated[str, Field(examples=[f"{NAME} was tried: 5 of 6 checks held; failed: Language"])]
    model_id: Annotated[str, Field(examples=[NAME])]
    checks: list[CheckOutcome]


class Switched(Schema):
    message: Annotated[str, Field(examples=[f"Model switched to {NAME}"])]
    model_id: Annotated[str, Field(examples=[NAME])]


class Unloaded(Schema):
    message: Annotated[str, Field(examples=["Model unloaded successfully"])]


class Switches(Schema):
    """A page of the history, newest first. `next` is the `before` of the page that follows; null on the last one."""

    switches: list[Switch]
    next: int | None


SENTENCES = {
    200: "Done.",
    201: "Made.",
    202: "Taken; Location says where to follow it.",
    204: "Done; there is nothing to say.",
    400: "The request cannot be read, or asks for something that TabbyAPI would not take.",
    401: "Nobody is signed in, or the token does not count.",
    403: "You may not do this, or the request comes from a page of another site.",
    404: "There is no such thing.",
    409: "Another change is in the way, or it is too late.",
    413: "The body is too big.",
    422: "The request has the wrong shape, or its Idempotency-Key was used for another one.",
    429: "Too much at once: wait, and try again.",
    502: "TabbyAPI failed, or could not be reached. What is loaded now is said.",
    503: "No worker is there to do it. It stays queued.",
}


def problems(*statuses: int) -> dict[int, Any]:
    """Declare these error statuses, beside those that any request can meet."""
    return dict.fromkeys((*statuses, 401, 403), Problem)
