"""A server as the API, the command and the page of servers show it."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

from models_admin import counters
from models_admin.models import State
from models_admin.page_schema import BackendState, Moment, ServerState, Switch
from models_admin.presentation import team_snapshots
from models_admin.servers import diagnosis, state_row, team


class ServerFacts(TypedDict):
    """What api/schemas.py describes as Server."""

    name: str
    address: str
    state: BackendState
    model: str
    loaded_at: Moment | None
    context: int | None
    replying: int
    tokens_per_second: float | None
    in_service: bool
    out_of_service_since: Moment | None
    unreachable_since: Moment | None
    switch: Switch | None
    error: str


def describe_all() -> list[ServerFacts]:
    """Return all servers as they are now, in the order of TABBY_HOST."""
    paces = counters.paces()
    return [_facts(each, paces) for each in team_snapshots.each(team.rows())]


def describe(server: int) -> ServerFacts:
    """Return one server as it is now."""
    (found,) = team_snapshots.each([state_row.row(server)])
    return _facts(found, counters.paces())


def pace(server: int, paces: Mapping[int, float] | None) -> float | None:
    """Return the tokens a second that a server writes, of counters.paces(); None where that is not known."""
    return None if paces is None else round(paces.get(server, 0.0), 1)


def words(state: ServerState) -> tuple[str, str]:
    """Return a server's tone ("good", "busy", "idle" or "bad") and, in a few words, what it runs or does."""
    switch, out = state["switch"], state["out_of_service_since"] is not None
    model = state["model"] or "no model loaded"
    if switch is not None:
        tone, text = "busy", f"loading {switch['target']}" if switch["target"] else "unloading"
        if switch["state"] == State.ROLLING_BACK:
            text = f"going back to {switch['previous']}" if switch["previous"] else "going back"
    elif state["state"] == "unreachable":
        tone, text = "bad", "cannot be reached" if state["unreachable_since"] else "has not answered yet"
    elif not state["healthy"]:
        tone, text = "bad", f"{model}, but may not answer"
    else:
        tone, text = ("good" if state["model"] else "idle"), model
    return ("idle" if out and tone == "good" else tone), f"{text}, out of service" if out else text


def key(state: ServerState) -> str:
    """Return a name of what pages show of a server, but for its progress and its replies. changes.js makes the same."""
    switch = state["switch"]
    number, back = (switch["id"], switch["state"] == State.ROLLING_BACK) if switch else ("", False)
    parts = (
        state["state"],
        state["model"],
        "" if state["healthy"] else "failing",
        state["out_of_service_since"] or "",
        str(number),
        "back" if back else "",
        state["error"],
    )
    return " ".join(parts)


def _facts(state: ServerState, paces: Mapping[int, float] | None) -> ServerFacts:
    return {
        "name": state["name"],
        "address": diagnosis.address(state["id"]),
        "state": state["state"],
        "model": state["model"],
        "loaded_at": state["loaded_at"],
        "context": state["context"],
        "replying": state["replying"],
        "tokens_per_second": pace(state["id"], paces),
        "in_service": state["out_of_service_since"] is None,
        "out_of_service_since": state["out_of_service_since"],
        "unreachable_since": state["unreachable_since"],
        "switch": state["switch"],
        "error": state["error"],
    }
