"""The differences between the options of a load and what TabbyAPI's card shows of the loaded model.

TabbyAPI drops options that it does not know, falls back silently, and lets a tabby_config.yml in the model's folder win. Its
card (`GET /v1/model`) shows some of what came of it. A difference is

    {"option", "kind", "asked", "found", "text"}

`kind` is "differs" (the card shows another value), "ignored" (the option has no effect), "missing" (the model lacks what it
needs to chat) or "unconfirmed" (the card does not show it, `found` is None). `text` is a sentence for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models_admin.page_schema import Difference, DifferenceKind
from models_admin.tabby.wire import ModelCard

# Options that TabbyAPI takes and does nothing with, since it runs exllamav3 only (its ModelLoadRequest and backend).
IGNORED = frozenset({"max_batch_size", "rope_scale", "rope_alpha"})
IGNORED_OF_DRAFT = ("draft_cache_mode", "draft_rope_scale", "draft_rope_alpha")
# {option: (its name on the card, how it is asked for)}
SHOWN: Mapping[str, tuple[str, str]] = {
    "max_seq_len": ("max_seq_len", "a context of {}"),
    "cache_size": ("cache_size", "a cache of {}"),
    "cache_mode": ("cache_mode", "the cache mode {}"),
    "chunk_size": ("chunk_size", "chunks of {}"),
    "max_batch_size": ("max_batch_size", "a batch size of {}"),
    "rope_scale": ("rope_scale", "a rope scale of {}"),
    "rope_alpha": ("rope_alpha", "a rope alpha of {}"),
    "prompt_template": ("prompt_template", "the prompt template {}"),
    "vision": ("use_vision", "vision {}"),
    "draft_model": ("draft", "the draft model {}"),
}
CONFIG_DECIDES = "the tabby_config.yml in its folder decides"
NO_TEMPLATE = (
    "It has no chat template, so it cannot chat. Load it with the option prompt_template set to one of TabbyAPI's "
    "templates, or put a chat_template.jinja into its folder."
)


def found(options: Mapping[str, Any], card: ModelCard | None) -> list[Difference]:
    """Return how `card` differs from the `options` that its model was loaded with; [] without a card."""
    if card is None:
        return []
    result = [each for name in sorted(options) for each in _of_option(name, options, card.parameters)]
    if card.parameters.get("prompt_template") == "":
        result.append(
            _difference("prompt_template", "missing", options.get("prompt_template"), "", NO_TEMPLATE)
        )
    return result


def columns(options: Mapping[str, Any], card: ModelCard | None) -> dict[str, Any]:
    """Return the columns of a Switch that ended with this card: `card` and `differences`."""
    return {"card": dict(card.parameters) if card else {}, "differences": found(options, card)}


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return {parameter: (before, now)} of what both cards show, and show differently."""
    return {name: (value, now[name]) for name, value in before.items() if name in now and now[name] != value}


def changes_in_words(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return changed() as words, such as “max_seq_len 3,072 instead of 8,192”."""
    return ", ".join(
        f"{name} {_with_separators(new)} instead of {_with_separators(old)}"
        for name, (old, new) in changed(before, now).items()
    )


def sentences(differences: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return sentences: one for each difference, and one for all that is not confirmed."""
    differences = list(differences)
    lines = [each["text"] for each in differences if each["kind"] != "unconfirmed"]
    if unconfirmed := [each["option"] for each in differences if each["kind"] == "unconfirmed"]:
        lines.append(f"Not confirmed, because TabbyAPI does not show it: {', '.join(unconfirmed)}.")
    return lines


def as_loaded(
    options: Mapping[str, Any], card: Mapping[str, Any], differences: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Return each option as it is in effect, such as “cache_mode Q6” or “gpu_split 20, 22 (not confirmed)”."""
    kinds = {each["option"]: each["kind"] for each in differences}
    remarks = {"unconfirmed": " (not confirmed)", "ignored": " (ignored)"}
    facts = []
    for name, asked in sorted(options.items()):
        kind = kinds.get(name, "")
        value = card.get(SHOWN[name][0], asked) if kind == "differs" else asked
        facts.append(f"{name} {in_words(value)}{remarks.get(kind, '')}")
    return facts


def in_words(value: Any) -> str:
    """Return an option's value as people read it."""
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(in_words(each) for each in value)
        case dict():
            return str(value.get("draft_model_name", ""))
        case _:
            return str(value) or "none"


def _of_option(name: str, options: Mapping[str, Any], card: Mapping[str, Any]) -> list[Difference]:
    asked = options[name]
    result = []
    if name == "draft_model":
        asked = asked.get("draft_model_name", "")
        # Releases that show the draft model on the card used its options.
        effect: DifferenceKind = "unconfirmed" if "draft" in card else "ignored"
        result = [
            _difference(
                f"draft_model.{each}", effect, value, None,
                f"Asked for {each} {in_words(value)}: this TabbyAPI ignores the option.",
            )
            for each in IGNORED_OF_DRAFT
            if (value := options[name].get(each)) is not None
        ]  # fmt: skip
    actual = card.get(SHOWN[name][0]) if name in SHOWN else None
    if actual is None:
        words = f"{name} {in_words(asked)}: not confirmed, because TabbyAPI does not show it."
        return [_difference(name, "unconfirmed", asked, None, words), *result]
    if _equal(asked, actual):
        return result
    kind: DifferenceKind = "ignored" if name in IGNORED else "differs"
    request = SHOWN[name][1].format(_with_separators(asked))
    words = f"Asked for {request}; the server runs {_with_separators(actual)}: {_why(name, options, card)}."
    return [_difference(name, kind, asked, actual, words), *result]


def _difference(option: str, kind: DifferenceKind, asked: Any, actual: Any, text: str) -> Difference:
    return {"option": option, "kind": kind, "asked": asked, "found": actual, "text": text}


def _equal(asked: Any, actual: Any) -> bool:
    if isinstance(asked, str) and isinstance(actual, str):
        return asked.replace(" ", "") == actual.replace(" ", "")
    return bool(asked == actual)


def _with_separators(value: Any) -> str:
    """Return a number of tokens with separators, anything else as in_words() does."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else in_words(value)


def _why(name: str, options: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    if name in IGNORED:
        return "this TabbyAPI ignores the option"
    if name == "max_seq_len" and card[name] == options.get("cache_size") == card.get("cache_size"):
        return "it is cut to the cache's size"
    if name == "prompt_template":
        return f"it has no template of that name, or {CONFIG_DECIDES}"
    if name == "vision" and options[name]:
        return f"the model cannot see, or {CONFIG_DECIDES}"
    return CONFIG_DECIDES
