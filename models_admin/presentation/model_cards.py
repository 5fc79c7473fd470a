"""A model as people who chat are shown it: its name, tags, notes and size."""

from __future__ import annotations

from models_admin.models import TabbyModel
from models_admin.page_schema import About, ModelWords


def describe(model: TabbyModel) -> ModelWords:
    """Return a model as people who chat are shown it."""
    return {
        "id": model.name,
        "name": str(model),
        "tags": model.tags,
        "notes": model.notes,
        "size": size(model),
    }


def size(model: TabbyModel) -> str:
    """Return parameters and quantization, such as “7B · Q5”, as far as they are known."""
    parts = []
    if model.parameters_b is not None:
        millions = model.parameters_b < 1
        parts.append(f"{model.parameters_b * 1000:.0f}M" if millions else f"{model.parameters_b:.3g}B")
    return " · ".join([*parts, model.quantization] if model.quantization else parts)


def about(name: str) -> About | None:
    """Return describe() for the model of that name, and whether it is visible in chat; None if the catalog never had it."""
    model = TabbyModel.objects.filter(name=name).first() if name else None
    return {**describe(model), "visible": model.visible} if model else None
