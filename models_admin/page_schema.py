"""The events about models that pages are sent, field by field: one description for server, pages and tests.

The HTTP API's schemas use these types where they show the same thing. The types of the pages' scripts are made from them
(`make types`), and the tests check against them what the server sends and what a played server sends. At run time each is a
plain dictionary, so that the description costs nothing when an event is sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from models_admin.models import RequestState, RolloutState, Source, State, Verdict

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


LineState = Literal["waiting", "running", "done", "failed", "note"]


class Line(TypedDict):
    text: Annotated[str, Field(examples=["Step 2: Loading Llama-3.1-8B-Instruct… 40%"])]
    state: LineState


DifferenceKind = Literal["differs", "ignored", "missing", "unconfirmed"]


class Difference(TypedDict):
    """How what TabbyAPI shows of a loaded model differs from an option that it was loaded with."""

    option: Annotated[str, Field(examples=["max_seq_len"])]
    kind: Annotated[
        DifferenceKind,
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


class Finding(TypedDict):
    """What an examination of TabbyAPI or of this machine found."""

    id: str
    level: Literal["ok", "warning", "error"]
    title: str
    detail: str
    hint: str


class CheckOutcome(TypedDict):
    """What came of a check; `why` it failed or was not judged, empty where it passed."""

    name: str
    verdict: Verdict
    why: str


class Switch(TypedDict):
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
    force: Annotated[bool, Field(description="It was asked for whatever its files look like.")]
    skip_checks: Annotated[bool, Field(description="It was to serve without the checks before serving.")]
    file_notes: Annotated[
        list[str], Field(description="What was found in the target's files before anything was unloaded.")
    ]
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
    tried: NotRequired[
        Annotated[
            list[CheckOutcome],
            Field(
                description="Of a switch that only tries its target out: what came of the checks. Else it is left out."
            ),
        ]
    ]
    server: NotRequired[Annotated[str, Field(description="Its name, where there are several.")]]
    rollout: NotRequired[
        Annotated[
            int | None,
            Field(description="The rollout that it is a part of, where there are several servers."),
        ]
    ]


class RolloutServer(TypedDict):
    """One server's part in a rollout; `switch`: the id of its switch, null until it begins."""

    name: str
    state: State | Literal["waiting"]
    percent: int
    switch: int | None
    text: Annotated[str, Field(examples=["loading Llama-3.1-8B-Instruct… 40%"])]


class Rollout(TypedDict):
    """One change of several servers, one after the other. `lines` says the same in words for people."""

    id: int
    state: RolloutState
    target: Annotated[str, Field(description="The model to load; empty for an unload.")]
    percent: Annotated[int, Field(description="Of the whole.")]
    servers: list[RolloutServer]
    by: Annotated[str, Field(description="The user who asked for it; empty where it was none.")]
    source: Source
    rule: str
    error: str
    cancel_requested: bool
    created_at: Moment
    finished_at: Moment | None
    lines: list[Line]


Change = Switch | Rollout


class ModelWords(TypedDict):
    """A model in the administrators' words, and its size, such as “7B · Q5” (empty: not known)."""

    id: str
    name: str
    tags: list[str]
    notes: str
    size: str


class About(ModelWords):
    """The loaded model; `visible`: whether it is shown in chat."""

    visible: bool


class Offered(ModelWords):
    """A model that may be asked for. `switch_url`: where the user may switch to it, if they may in the admin site."""

    switch_url: str | None


BackendState = Literal["ready", "switching", "unloaded", "unreachable"]


class ServerState(TypedDict):
    """One of several servers, as it is now."""

    id: int
    name: Annotated[str, Field(description="As in TABBY_HOST.")]
    state: BackendState
    model: str
    loaded_at: Moment | None
    context: Annotated[int | None, Field(description="Tokens.")]
    replying: int
    epoch: int
    healthy: bool
    unreachable_since: Moment | None
    trouble: str
    out_of_service_since: Moment | None
    switch: Switch | None
    error: Annotated[
        str,
        Field(
            description="What is wrong there now, or why its last switch failed within the last hour; empty: nothing."
        ),
    ]


class Backend(TypedDict):
    """All that a page shows of TabbyAPI and of the switch under way. It is an event, and a part of each `hello`."""

    type: Literal["backend"]
    state: BackendState
    model: Annotated[str, Field(description="The loaded one; empty: none.")]
    about: About | None
    loaded_at: Moment | None
    context: Annotated[int | None, Field(description="Tokens.")]
    parameters: Annotated[dict[str, Any], Field(description="Of TabbyAPI's card.")]
    options: Annotated[dict[str, Any], Field(description="The load options asked for.")]
    differences: Annotated[list[Difference], Field(description="Between the two.")]
    unreachable_since: Moment | None
    trouble: str
    advice: str
    findings: list[Finding]
    healthy: Annotated[bool, Field(description="Its engine has not failed.")]
    worker: Annotated[bool, Field(description="One is alive.")]
    replying: Annotated[int, Field(description="Replies in flight.")]
    busy_with: Annotated[
        str,
        Field(description="The model of a load that was given up and goes on in TabbyAPI; empty: none."),
    ]
    epoch: int
    switch: Annotated[Switch | None, Field(description="The one under way.")]
    last: Annotated[Switch | None, Field(description="The last one that ended within the last hour.")]
    servers: NotRequired[
        Annotated[
            list[ServerState],
            Field(
                description="Where there are several: the rest describes them as a whole. It is ready if any can answer, "
                "and the model is the team's."
            ),
        ]
    ]
    rollout: NotRequired[
        Annotated[
            Rollout | None,
            Field(description="Where there are several servers: the change of them under way."),
        ]
    ]


class ModelRequest(TypedDict):
    """One of the user's requests: open, or ended in a way that they have not put away yet."""

    id: int
    model: str
    name: Annotated[str, Field(description="Of the model, to read.")]
    state: RequestState
    reason: str
    answer: str
    asked_at: Moment
    ended_at: Moment | None


class Overview(TypedDict):
    """What may be asked for, and what the user has asked for."""

    models: list[Offered]
    requests: list[ModelRequest]


class Answered(TypedDict):
    """The open request; or none, because the model is loaded. `detail` says which, in a sentence."""

    request: ModelRequest | None
    detail: str


class Hello(TypedDict):
    """The first event on /ws/models/."""

    type: Literal["hello"]
    account: int
    backend: Backend


class RequestsEvent(TypedDict):
    """All of the user's requests."""

    type: Literal["requests"]
    requests: list[ModelRequest]


class CatalogEvent(TypedDict):
    """Models or aliases have come or gone, or what is noted about them has changed."""

    type: Literal["catalog"]


class AskedEvent(TypedDict):
    """To staff: somebody has asked for a model, or a request has ended."""

    type: Literal["asked"]


class ErrorEvent(TypedDict):
    """Why a frame was not obeyed."""

    type: Literal["error"]
    code: str
    detail: str


class PongEvent(TypedDict):
    """The answer to a `ping`."""

    type: Literal["pong"]


class Ping(TypedDict):
    """A page asks for a sign of life."""

    type: Literal["ping"]


ModelsEvent = Hello | Backend | RequestsEvent | CatalogEvent | AskedEvent | ErrorEvent | PongEvent
