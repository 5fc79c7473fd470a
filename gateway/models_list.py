"""Which names can be called: the loaded model, while a switch runs the one that it brings, and aliases of these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.errors import Refused
from models_admin.aliases.book import KnownAlias
from models_admin.page_schema import Backend, ServerState


def served(snapshot: Backend) -> list[str]:
    """Return the names under which a call is taken; none where it is not known yet what will be loaded."""
    if "servers" in snapshot:
        names = [name for each in _in_use(snapshot) for name in _names(each)]
        return list(dict.fromkeys([*([snapshot["model"]] if snapshot["model"] in names else []), *names]))
    return _names(snapshot)


def _names(server: Backend | ServerState) -> list[str]:
    switch = server["switch"]
    if switch is None:
        return [server["model"]] if server["model"] else []
    names = (switch["target"], server["model"], switch["previous"])
    return list(dict.fromkeys(name for name in names if name))


def _in_use(snapshot: Backend) -> list[ServerState]:
    """Return those of several servers that may be given calls, now or after their switch."""
    return [
        each
        for each in snapshot.get("servers", [])
        if each["state"] != "unreachable" and each["out_of_service_since"] is None
    ]


def listed(snapshot: Backend, aliases: list[KnownAlias]) -> list[dict[str, Any]]:
    """Return the cards of GET /v1/models: what is loaded now, or will be after the switch, and the aliases of that."""
    cards = [found for alias in aliases if (found := alias_card(alias, snapshot))]
    names = {each["id"].lower() for each in cards}
    coming = dict.fromkeys([_coming(snapshot), *map(_coming, _in_use(snapshot))])
    return [*(card(name, snapshot) for name in coming if name and name.lower() not in names), *cards]


def _coming(snapshot: Backend | ServerState) -> str:
    """Return what is loaded now, or will be when the switch is done; '' if nothing is."""
    switch = snapshot["switch"]
    return (switch["target"] if switch is not None else "") or snapshot["model"]


def alias_card(alias: KnownAlias, snapshot: Backend) -> dict[str, Any] | None:
    """Return an alias as OpenAI shows a model, `root` being the model; None where a call would not be answered."""
    root = alias.model or _coming(snapshot)
    if root not in served(snapshot):
        return None
    return {**card(root, snapshot), "id": alias.name, "owned_by": "gantry", "root": root}


def card(name: str, snapshot: Backend) -> dict[str, Any]:
    """Return one model as OpenAI shows it, with its context where that is known."""
    at = next((each for each in (snapshot, *_in_use(snapshot)) if each["model"] == name), None)
    since = at["loaded_at"] if at else None
    shown = {
        "id": name,
        "object": "model",
        "created": int(datetime.fromisoformat(since).timestamp()) if since else 0,
        "owned_by": "tabbyapi",
    }
    return {**shown, "max_model_len": at["context"]} if at and at["context"] else shown


def not_loaded(name: str, snapshot: Backend, alias: str = "") -> Refused:
    """Return a 404 that names what can be called; `alias`: the one that stands for the model."""
    names = served(snapshot)
    some = f"Loaded are {', '.join(names)}: ask for one of these, or leave “model” empty for {snapshot['model']}."
    instead = (
        some
        if len(names) > 1 and "servers" in snapshot
        else f"Loaded is {names[0]}: ask for that, or leave “model” empty for whatever is loaded."
        if names and snapshot["switch"] is None
        else f"Being loaded is {names[0]}."
        if names
        else "No model is loaded."
    )
    asked = f"The model “{name}” is not loaded."
    if alias:
        asked = f"The alias “{alias}” stands for " + (
            f"“{name}”, which is not loaded." if name else "what is loaded."
        )
    return Refused(404, "model_not_found", f"{asked} {instead}", param="model")
