"""Reads a model's name: size, quantization, family and tags, the memory it needs, and whether the name is a good one.

Pure functions on names. TabbyAPI's catalog gives nothing but names, so everything here is an estimate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A mixture of experts shares its attention layers: 8x7B is 46.7 billion and 8x22B is 141, not 56 and 176.
SHARED_EXPERTS = 0.83

VRAM_RULE = (
    "parameters × bits per weight ÷ 8, plus 1 GB, plus 0.05 GB per billion parameters for cache and buffers"
)

# What the published guide calls usual; the rule is tested against it.
VRAM_USUAL = "7B at Q4 5 GB, at Q8 8 GB; 13B 10 and 16 GB; 70B 40 and 70 GB"

_START = r"(?<![a-z0-9.])"
_END = r"(?![a-z0-9])"
_SIZE = re.compile(rf"{_START}(?:(\d{{1,3}})x)?(\d{{1,4}}(?:\.\d+)?)(b|m){_END}")

# The first that matches decides. Each names its bits per weight by a group or by the number beside it.
_QUANTIZATIONS: tuple[tuple[re.Pattern[str], float | None], ...] = (
    (re.compile(rf"{_START}(\d{{1,2}}(?:\.\d+)?)[ _-]?bpw{_END}"), None),
    (re.compile(rf"{_START}exl[23][ _-](\d(?:\.\d+)?){_END}"), None),
    (re.compile(rf"{_START}(\d\.\d+)[ _-]?exl[23]{_END}"), None),
    (re.compile(rf"{_START}i?q([1-8])(?:_[0-9a-z]{{1,3}}){{0,2}}{_END}"), None),
    (re.compile(rf"{_START}(?:gptq|awq)[ _-](?:int)?(\d)(?:[ _-]?bits?)?{_END}"), None),
    (re.compile(rf"{_START}(\d{{1,2}})[ _-]?bits?{_END}"), None),
    (re.compile(rf"{_START}w(\d{{1,2}})a\d{{1,2}}{_END}"), None),
    (re.compile(rf"{_START}(?:b?fp?|int|nf)(4|8|16|32){_END}"), None),
    (re.compile(rf"{_START}(?:awq|gptq){_END}"), 4.0),
)
_FORMAT = re.compile(rf"{_START}(exl[23]|gguf|hqq){_END}")

FAMILIES = {
    "codellama": "Llama",
    "codestral": "Mistral",
    "command": "Command",
    "deepseek": "DeepSeek",
    "devstral": "Mistral",
    "dolphin": "Dolphin",
    "falcon": "Falcon",
    "gemma": "Gemma",
    "glm": "GLM",
    "gpt-oss": "GPT-OSS",
    "granite": "Granite",
    "internlm": "InternLM",
    "llama": "Llama",
    "magistral": "Mistral",
    "ministral": "Mistral",
    "mistral": "Mistral",
    "mixtral": "Mixtral",
    "nemotron": "Nemotron",
    "olmo": "OLMo",
    "phi": "Phi",
    "qwen": "Qwen",
    "qwq": "Qwen",
    "smollm": "SmolLM",
    "solar": "Solar",
    "starcoder": "StarCoder",
    "vicuna": "Vicuna",
    "wizardlm": "WizardLM",
    "yi": "Yi",
    "zephyr": "Zephyr",
}

TAGS = ("coding", "creative", "general", "analysis")
_RECOMMENDED = {
    "qwen2.5-coder-7b-instruct": ("coding",),
    "deepseek-coder-6.7b": ("coding",),
    "llama-3.1-8b-instruct": TAGS,
    "mistral-7b-instruct-v0.3": ("creative",),
    "qwen2.5-7b-instruct": ("general", "analysis"),
}
_TAG_PATTERNS = {
    "coding": re.compile(r"cod(?:er?|ing|estral)|devstral|program"),
    "creative": re.compile(rf"writ(?:er|ing)|stor(?:y|ies)|creative|novel|{_START}rp{_END}"),
    "analysis": re.compile(rf"reason|think|math|analy|qwq|{_START}r1{_END}"),
}
_CHAT = re.compile(rf"instruct|chat|{_START}it{_END}")

_GENERIC_WORD = (
    r"(?:my|new|old|the|latest|final|best|test|tmp|temp|untitled|default|foo|bar|model|llm|ai|copy)"
)
_GENERIC = re.compile(rf"(?:{_GENERIC_WORD}[-_. ]*(?:\d+[-_. ]*)?)+")


@dataclass(frozen=True)
class Facts:
    """What a name says; None or '' where it says nothing.

    parameters_b: billions of parameters. quantization: as written (`Q5_K_M`, `4.0bpw`, `AWQ`).
    bits: per weight.
    """

    parameters_b: float | None
    quantization: str
    bits: float | None
    family: str


def read(name: str) -> Facts:
    """Return what `name`, a model's directory, says about the model."""
    lower = name.lower()
    quantization, bits = _quantization(name)
    return Facts(_parameters(lower), quantization, bits, _family(lower))


def _parameters(lower: str) -> float | None:
    found = _SIZE.search(lower)
    if found is None:
        return None
    size = float(found[2]) / (1000 if found[3] == "m" else 1)
    if found[1]:
        size *= int(found[1]) * SHARED_EXPERTS
    return round(size, 3)


def _quantization(name: str) -> tuple[str, float | None]:
    lower = name.lower()
    for pattern, fixed in _QUANTIZATIONS:
        if found := pattern.search(lower):
            bits = fixed if fixed is not None else float(found[1])
            return name[found.start() : found.end()], bits if 1 <= bits <= 32 else None
    found = _FORMAT.search(lower)
    return (name[found.start() : found.end()], None) if found else ("", None)


def _family(lower: str) -> str:
    """Return the known family that is named first; else the leading word, where a size follows; else ''."""
    places = {lower.find(key): family for key, family in FAMILIES.items() if _begins_word(lower, key)}
    if places:
        return places[min(places)]
    word = re.match(r"[a-z]{3,}", lower)
    if word and _SIZE.search(lower) and not _GENERIC.fullmatch(word[0]):
        return word[0].capitalize()
    return ""


def _begins_word(lower: str, key: str) -> bool:
    """Whether `key` stands in the name at the start of a word (`Phi-3`, not `Delphi`)."""
    place = lower.find(key)
    return place == 0 or (place > 0 and not lower[place - 1].isalpha())


def hint(name: str) -> str:
    """Return what could be better about a name, in a sentence or two; '' for a good one."""
    if _GENERIC.fullmatch(name.lower()):
        return f"“{name}” says nothing about the model. {_ADVICE}"
    unusual = ["spaces"] if re.search(r"\s", name) else []
    unusual += ["special characters"] if re.search(r"[^A-Za-z0-9._\s-]", name) else []
    if unusual:
        return f"The name contains {' and '.join(unusual)}. {_ADVICE}"
    facts = read(name)
    if facts.parameters_b is None and not facts.quantization:
        return f"The name tells neither size nor quantization. {_ADVICE}"
    return ""


_ADVICE = (
    "Rename its directory in TabbyAPI's model folder to something descriptive, with version and "
    "quantization, such as Qwen2.5-Coder-7B-Instruct-Q5."
)


def vram_gb(parameters_b: float | None, bits: float | None) -> float | None:
    """Return the GPU memory (GB) that a model probably needs, by VRAM_RULE; None if unknown."""
    if parameters_b is None or bits is None:
        return None
    return round(parameters_b * bits / 8 + 1 + 0.05 * parameters_b, 1)


def suggested_tags(name: str) -> list[str]:
    """Return the tasks that a model of this name is good for, in the order of TAGS."""
    lower = name.lower()
    tags = {tag for key, recommended in _RECOMMENDED.items() if lower.startswith(key) for tag in recommended}
    if not tags:
        tags = {tag for tag, pattern in _TAG_PATTERNS.items() if pattern.search(lower)}
    if not tags and _CHAT.search(lower):
        tags = {"general"}
    return [tag for tag in TAGS if tag in tags]
