"""The parameters that a load leads to: the folder's own configuration wins; some options are dropped or fall back."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from .config import ModelSpec

PAGE = 256  # tokens: the cache is given out in pages of this size
CHUNK = 2048
BATCH = 128  # TabbyAPI's own: a load's max_batch_size is dropped


@dataclass(frozen=True)
class Parameters:
    """What a loaded model runs with; without a prompt_template ('') it cannot chat."""

    max_seq_len: int
    cache_size: int
    cache_mode: str
    chunk_size: int
    use_vision: bool
    prompt_template: str

    def refusal(self, prompt: int) -> str:
        """Return why a prompt of so many tokens cannot be answered; '' if it can. A reply needs a chunk of cache, too."""
        if prompt > self.max_seq_len:
            return f"Prompt length {prompt} exceeds the available context size of {self.max_seq_len} tokens"
        needed = -(-(prompt - 1 + self.chunk_size) // PAGE) * PAGE
        if needed > self.cache_size:
            return (
                f"Initial job allocation requires {needed} cache tokens, which exceeds the available context size of "
                f"{self.cache_size} tokens"
            )
        return ""


def parameters_of(model: ModelSpec, options: Mapping[str, Any], templates: Container[str]) -> Parameters:
    """Return the parameters of `model` when it is loaded with `options`, on a server with these `templates`."""
    asked = {**options, **model.overrides}
    context = asked.get("max_seq_len") or model.max_seq_len
    cache = asked.get("cache_size") or context
    chunk = max(PAGE, asked.get("chunk_size") or CHUNK)
    template = asked.get("prompt_template") or ""
    return Parameters(
        max_seq_len=min(context, cache),
        cache_size=cache,
        cache_mode=asked.get("cache_mode") or "FP16",
        chunk_size=-(-chunk // PAGE) * PAGE,
        use_vision=has_vision(model, options),
        prompt_template=template if template in templates else model.prompt_template,
    )


def has_vision(model: ModelSpec, options: Mapping[str, Any]) -> bool:
    """Whether a load includes the vision part: only where the model has one."""
    return model.vision and {**options, **model.overrides}.get("vision") is not False


def draft_of(model: ModelSpec, options: Mapping[str, Any]) -> str | None:
    """Return the draft model that a load looks for; '': the one that the server configures; None: none."""
    asked = {**options, **model.overrides}.get("draft_model")
    return asked["draft_model_name"] if asked else "" if model.draft else None
