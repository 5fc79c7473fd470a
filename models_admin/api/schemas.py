"""What the HTTP API takes and gives, as the schema declares it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, StrictStr

from models_admin.models import Source, State

LARGEST_ID = 2**63 - 1
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
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

    state: Literal["ready", "switching", "unloaded", "unreachable"]
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


class SwitchTo(Schema):
    """The model to load; for this once, load options, and how many seconds replies in flight may take (0: none)."""

    model_config = ConfigDict(extra="forbid")

    # The shape is declared for readers; a name that does not fit is refused with a sentence of its own.
    model_id: Annotated[
        StrictStr,
        Field(examples=[NAME], json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[^/\\]+$"}),
    ]
    options: dict[str, Any] = {}
    drain_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False, strict=True)] | None = None


class Switched(Schema):
    message: Annotated[str, Field(examples=[f"Model switched to {NAME}"])]
    model_id: Annotated[str, Field(examples=[NAME])]


class Unloaded(Schema):
    message: Annotated[str, Field(examples=["Model unloaded successfully"])]


class Line(Schema):
    text: Annotated[str, Field(examples=[f"Step 2: Loading {NAME}… 40%"])]
    state: Literal["waiting", "running", "done", "failed", "note"]


class Difference(Schema):
    """How what TabbyAPI shows of a loaded model differs from an option that it was loaded with."""

    option: Annotated[str, Field(examples=["max_seq_len"])]
    kind: Annotated[
        Literal["differs", "ignored", "missing", "unconfirmed"],
        Field(description="unconfirmed: TabbyAPI does not show it; ignored: it has no effect."),
    ]
    asked: Any
    found: Any
    text: Annotated[
        str,
        Field(
            examples=[
                "Asked for a context of 8,192; the server runs 3,072: the tabby_config.yml in its folder decides."
            ]
        ),
    ]


class Switch(Schema):
    """One attempt to change what is loaded, as it is now. `lines` says the same in words for people."""

    id: int
    kind: Literal["switch", "unload"]
    state: State
    target: Annotated[str, Field(description="The model to load; empty for an unload.")]
    previous: Annotated[str, Field(description="What was loaded before; empty if nothing was.")]
    step: int
    steps: int
    percent: Annotated[int, Field(description="Of the step at hand.")]
    detail: str
    eta_seconds: float | None
    elapsed_seconds: float
    by: Annotated[str, Field(description="The user who asked for it; empty where it was none.")]
    source: Source
    rule: Annotated[str, Field(description="The automation rule that asked for it; empty where it was none.")]
    error: str
    error_kind: str
    advice: str
    result: Annotated[
        str | None,
        Field(
            description="What was loaded when it ended (empty: nothing); null while it runs, and where TabbyAPI did not "
            "say it."
        ),
    ]
    standing: Annotated[
        str, Field(description="What was loaded when it ended, in a sentence; empty while it runs.")
    ]
    cancel_requested: bool
    replies_cut: int
    seconds: Annotated[dict[str, float], Field(description="Spent in each state.")]
    options: Annotated[dict[str, Any], Field(description="The load options asked for.")]
    parameters: Annotated[
        dict[str, Any], Field(description="What TabbyAPI's card showed of the loaded model when it ended.")
    ]
    differences: Annotated[list[Difference], Field(description="Between the two.")]
    created_at: Moment
    finished_at: Moment | None
    lines: list[Line]


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
