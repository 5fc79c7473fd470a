"""Which models can be called: the loaded one, and while a switch runs, the one that it brings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.errors import Refused
from models_admin.page_schema import Backend


def served(snapshot: Backend) -> list[str]:
    """Return the names under which a call is taken; none where it is not known yet what will be loaded."""
    switch = snapshot["switch"]
    if switch is None:
        return [snapshot["model"]] if snapshot["model"] else []
    names = (switch["target"], snapshot["model"], switch["previous"])
    return list(dict.fromkeys(name for name in names if name))


def listed(snapshot: Backend) -> list[dict[str, Any]]:
    """Return the cards of GET /v1/models: what is loaded now, or will be when the switch is done."""
    switch = snapshot["switch"]
    name = (switch["target"] if switch is not None else "") or snapshot["model"]
    return [card(name, snapshot)] if name else []


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


def not_loaded(name: str, snapshot: Backend) -> Refused:
    """Return a 404 that names what can be called."""
    names = served(snapshot)
    instead = (
        f"Loaded is {names[0]}: ask for that, or leave “model” empty for whatever is loaded."
        if names and snapshot["switch"] is None
        else f"Being loaded is {names[0]}."
        if names
        else "No model is loaded."
    )
    return Refused(404, "model_not_found", f"The model “{name}” is not loaded. {instead}", param="model")
