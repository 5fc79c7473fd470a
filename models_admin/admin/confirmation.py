"""What a switch or unload would mean, in words: for the page or dialog that asks for confirmation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from models_admin.admin import file_facts
from models_admin.checks import running as checks
from models_admin.models import State, Switch, TabbyModel
from models_admin.page_schema import Backend
from models_admin.presentation import estimates, server_facts
from models_admin.servers import names, presence
from models_admin.switching import demand, rollout


@dataclass(frozen=True, slots=True)
class Memory:
    """GPU memory: GB that a model needs, as estimated by its name, and GB that there are (GANTRY_VRAM_GB).

    `needed` is None where the name lacks `missing`, such as “the size”; `available` is 0 where it is not known.
    """

    needed: float | None
    missing: str
    available: float

    @property
    def too_big(self) -> bool:
        """Whether it probably does not fit."""
        return self.needed is not None and 0 < self.available < self.needed


def of_switch(server: int, snapshot: Backend, model: TabbyModel) -> dict[str, Any]:
    """Return what the confirmation's template shows of a switch to `model`, by a server's snapshot."""
    unload = estimates.unload_seconds(server) if snapshot["model"] else 0.0
    known = Switch.objects.filter(server_id=server, target=model.name, state=State.SUCCEEDED).exists()
    basis = "going by its past loads" if known else "usual for its size"
    verb = "Switch" if snapshot["model"] else "Load"
    seconds = unload + estimates.load_seconds(server, model.name)
    return {
        "model": model,
        "title": f"Switch to {model.name}?" if snapshot["model"] else f"Load {model.name}?",
        "button": verb,
        "takes": takes(seconds, basis, snapshot["replying"], each="servers" in snapshot),
        "memory": _memory(model),
        "file_problems": [file_facts.sentence(each) for each in file_facts.problems(model)],
        "obstacle": obstacle(snapshot, model),
        "checks": len(checks.due(model.name, serving=True)),
        "all_checks": len(checks.due(model.name, serving=False)),
        "to_try": reverse("admin:models_admin_tabbymodel_try", args=[model.pk]),
        "no_way_back": TabbyModel.objects.filter(name=snapshot["model"]).exclude(vanished_at=None).exists(),
        "servers": _servers(snapshot, model, [each["id"] for each in snapshot.get("servers", [])]),
        **_team(snapshot),
        **_demand(snapshot),
    }


def of_unload(server: int, snapshot: Backend, of: str = "") -> dict[str, Any]:
    """Return what the confirmation's template shows of an unload; `of`: only where this model runs."""
    running = [
        each["id"]
        for each in snapshot.get("servers", [])
        if each["model"] and each["model"] == (of or each["model"])
    ]
    return {
        "title": f"Unload {snapshot['model']}?" if snapshot["model"] else "Unload?",
        "button": "Unload",
        "takes": takes(
            estimates.unload_seconds(server), "", snapshot["replying"], each="servers" in snapshot
        ),
        "obstacle": obstacle(snapshot, None),
        "servers": _servers(snapshot, None, running),
        **_team(snapshot),
        **_demand(snapshot),
    }


def _team(snapshot: Backend) -> dict[str, Any]:
    """Return what several servers run, and whether others answer while each of them is changed."""
    servers = snapshot.get("servers", [])
    answering = [
        each for each in servers if each["state"] == "ready" and each["out_of_service_since"] is None
    ]
    models = list(dict.fromkeys(each["model"] for each in servers if each["model"]))
    return {"runs": ", ".join(models) or snapshot["model"], "others_answer": len(answering) > 1}


def _servers(snapshot: Backend, model: TabbyModel | None, fit: list[int]) -> list[dict[str, Any]]:
    """Return the boxes of several servers: {"name", "note" (what it runs), "checked" (proposed, of those that `fit`)}."""
    if "servers" not in snapshot:
        return []
    target = model.name if model else ""
    usual = [each for each in rollout.chosen([], target) if each in fit]
    open_ones = [
        each["id"] for each in snapshot["servers"] if each["id"] in usual and each["model"] != target
    ]
    boxes = []
    for each in snapshot["servers"]:
        note = server_facts.words(each)[1]
        if target and not presence.present(each["id"], target):
            note = f"does not have it; {note}"
        boxes.append({"name": each["name"], "note": note, "checked": each["id"] in (open_ones or usual)})
    return boxes


def takes(seconds: float, basis: str, replying: int, *, each: bool = False) -> str:
    """Return how long it takes, such as “about 20 s (usual for its size), after up to 20 s for the reply in flight”.

    `each`: for each of several servers.
    """
    words = f"about {estimates.rounded(seconds)} s{' for each server' if each else ''}"
    if basis:
        words += f" ({basis})"
    drain = round(settings.DRAIN_TIMEOUT)
    if replying and drain:
        words += f", after up to {drain} s for {'the reply' if replying == 1 else 'replies'} in flight"
    return words


def in_use(*, loaded: bool, replying: int, waiting: int, people: int) -> str:
    """Return who uses the model or waits for one, such as “1 reply in flight, 3 messages waiting (2 people)”."""
    parts = []
    if replying or loaded:
        parts.append(_count(replying, "reply in flight", "replies in flight"))
    if waiting or not parts:
        parts.append(_count(waiting, "message waiting", "messages waiting"))
    by = f" ({_count(people, 'person', 'people')})" if people and (replying or waiting) else ""
    return ", ".join(parts) + by


def obstacle(snapshot: Backend, model: TabbyModel | None) -> str:
    """Return why a switch to `model` (None: an unload) cannot be made now; '' if it can."""
    running = snapshot.get("rollout") or snapshot["switch"]
    if running:
        what = f"a switch to {running['target']}" if running["target"] else "an unload"
        return f"Another change is under way: {what}. Wait for its end, or cancel it."
    if model is None:
        loaded = snapshot["model"] or any(each["model"] for each in snapshot.get("servers", []))
        return "" if loaded or snapshot["state"] == "unreachable" else "No model is loaded."
    if not model.present:
        return f"{model.name} is gone from TabbyAPI. Put its directory back, then refresh the list."
    if "servers" in snapshot:
        able = rollout.chosen([], model.name)
        loaded = all(each["model"] == model.name for each in snapshot["servers"] if each["id"] in able)
        return f"{model.name} is loaded already on all servers that can be asked." if loaded else ""
    return f"{model.name} is loaded already." if model.name == snapshot["model"] else ""


def _count(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number or 'no'} {many}"


def _demand(snapshot: Backend) -> dict[str, Any]:
    now = demand.now()
    words = in_use(
        loaded=bool(snapshot["model"]),
        replying=snapshot["replying"],
        waiting=now.waiting,
        people=now.people,
    )
    return {"in_use": words, "drain_seconds": round(settings.DRAIN_TIMEOUT)}


def _memory(model: TabbyModel) -> Memory:
    match model.parameters_b is None, model.bits is None:
        case True, True:
            missing = "size and quantization"
        case True, False:
            missing = "the size"
        case _:
            missing = "the quantization"
    return Memory(names.vram_gb(model.parameters_b, model.bits), missing, settings.GANTRY_VRAM_GB)
