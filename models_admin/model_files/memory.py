"""Estimates how much GPU memory a model needs at least: its weights, and the cache for the context that is asked for.

An estimate from below: what may lie elsewhere or be smaller is left out (embeddings, the parts that see, caches of layers
that remember little), so that nothing is refused that would fit. A GB is 1024³ bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from models_admin.model_files.report import Problem, Report, gigabytes
from models_admin.model_files.safetensors import Tensor

# Bytes in memory for each byte in the file: what is not fp16 becomes fp16.
GROWS = {"F8_E4M3": 2.0, "F32": 0.5}
MXFP4 = 4.0
_ELSEWHERE = re.compile(r"(?:model\.)?(?:visual|vision|audio|mtp|multi_modal|mm_)")
_EMBEDDING = re.compile(r"embed_tokens\.weight$")
_HEAD = re.compile(r"(?:^|\.)lm_head\.")
FULL_ATTENTION = "full_attention"
# Kinds of models that keep no cache of every layer, and do not say of which.
SPARSE = re.compile(r"mamba|nemotron_?h|falcon_?h|lfm2|hybrid|rwkv|jamba|deepseek_v4", re.IGNORECASE)


def of_weights(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes that the weights take on the GPUs at least."""
    own_head = any(_HEAD.search(name) for name in tensors)
    total = 0.0
    for name, each in tensors.items():
        if _ELSEWHERE.match(name) or (own_head and _EMBEDDING.search(name)):
            continue  # embeddings stay in the computer's own memory
        total += each.size * (MXFP4 if name.endswith("_blocks") else GROWS.get(each.dtype, 1.0))
    return round(total)


def per_token(config: Mapping[str, Any]) -> float:
    """Return the bytes that a token takes in a cache of FP16; 0 where config.json does not say it plainly."""
    inner = config.get("text_config")
    facts = inner if isinstance(inner, dict) else config
    layers = _layers(facts)
    if SPARSE.search(str(facts.get("model_type", ""))):
        return 0.0
    if rank := _whole(facts.get("kv_lora_rank")):
        return 2.0 * layers * (rank + _whole(facts.get("qk_rope_head_dim")))
    heads = _whole(facts.get("num_attention_heads"))
    size = _whole(facts.get("head_dim")) or (_whole(facts.get("hidden_size")) // heads if heads else 0)
    return 2.0 * 2 * layers * (_whole(facts.get("num_key_value_heads")) or heads) * size


def _layers(facts: Mapping[str, Any]) -> int:
    """Return how many layers have a cache of the whole context."""
    count = _whole(facts.get("num_hidden_layers"))
    kinds = facts.get("layer_types")
    if isinstance(kinds, list):
        return kinds.count(FULL_ATTENTION)
    every = _whole(facts.get("full_attention_interval")) or _whole(facts.get("sliding_window_pattern"))
    return count // every if every else count


def _whole(value: object) -> int:
    return value if type(value) is int and 0 < value <= 10**9 else 0


def context(config: Mapping[str, Any]) -> int | None:
    """Return the longest context of which config.json speaks."""
    inner = config.get("text_config")
    for facts in (inner, config):
        if isinstance(facts, dict) and (found := _whole(facts.get("max_position_embeddings"))):
            return found
    return None


def needed(report: Report, options: Mapping[str, Any]) -> tuple[float, int]:
    """Return the bytes that are needed with these load options, and the tokens of the cache in them (0: none asked for)."""
    asked: dict[str, Any] = {**options, **report.settings}
    tokens = _number(asked.get("cache_size")) or _number(asked.get("max_seq_len"))
    if not report.per_token:
        tokens = 0
    return report.weights + tokens * report.per_token * _bits(asked.get("cache_mode")) / 16, tokens


def too_much(report: Report, options: Mapping[str, Any], available: float) -> Problem | None:
    """Return why the model does not fit `available` GB (0: not known); None where it may fit."""
    size, tokens = needed(report, options)
    partly = report.settings.get("cpu_moe_offload_layers", "0") not in ("0", "")
    if available <= 0 or partly or size <= available * 1024**3:
        return None
    cache = f", with a cache for {tokens:,} tokens" if tokens else ""
    todo = "a smaller quantization" + (", or a smaller context or cache" if tokens else "")
    return Problem(
        f"it needs {gigabytes(size)} of GPU memory at least{cache}, and there are {available:g} GB (GANTRY_VRAM_GB)",
        f"Take {todo}.",
    )


def _number(value: object) -> int:
    text = str(value if value is not None else "").replace("_", "")
    return min(int(text), 10**9) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _bits(mode: object) -> float:
    """Return the bits of a number in a cache of this mode (FP16, Q8, Q6, Q4, or two numbers)."""
    numbers = [int(each) for each in re.findall(r"\d+", str(mode or "FP16"))[:2]]
    return min(16.0, sum(numbers) / len(numbers)) if numbers else 16.0
