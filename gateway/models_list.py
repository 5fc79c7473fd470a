"""Which names can be called: the loaded model, while a switch runs the one that it brings, and aliases of these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.errors import Refused
from models_admin.aliases.book import KnownAlias
from models_admin.page_schema import Backend


def served(snapshot: Backend) -> list[str]:
    """Return the names under which a call is taken; none where it is not known yet what will be loaded."""
    switch = snapshot["switch"]
    if switch is None:
        return [snapshot["model"]] if snapshot["model"] else []
    names = (switch["target"], snapshot["model"], switch["previous"])
    return list(dict.fromkeys(name for name in names if name))


def listed(snapshot: Backend, aliases: list[KnownAlias]) -> list[dict[str, Any]]:
    """Return the cards of GET /v1/models: what is loaded now, or will be after the switch, and the aliases of that."""
    cards = [found for alias in aliases if (found := alias_card(alias, snapshot))]
    name = _coming(snapshot)
    if name and name.lower() not in {each["id"].lower() for each in cards}:
        return [card(name, snapshot), *cards]
    return cards


def _coming(snapshot: Backend) -> str:
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
    loaded = name == snapshot["model"]
    since = snapshot["loaded_at"] if loaded else None
    shown = {
        "id": name,
        "object": "model",
        "created": int(datetime.fromisoformat(since).timestamp()) if since else 0,
        "owned_by": "tabbyapi",
    }
    return {**shown, "max_model_len": snapshot["context"]} if loaded and snapshot["context"] else shown


def not_loaded(name: str, snapshot: Backend, alias: str = "") -> Refused:
    """Return a 404 that names what can be called; `alias`: the one that stands for the model."""
    names = served(snapshot)
    instead = (
        f"Loaded is {names[0]}: ask for that, or leave “model” empty for whatever is loaded."
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
