"""Fields that OpenAI's description demands of each choice, where TabbyAPI leaves them out; strict clients look for them."""

from __future__ import annotations

from typing import Any

from gateway.asked import CHAT, EMBEDDINGS


def whole(answer: dict[str, Any], endpoint: str, model: str) -> dict[str, Any]:
    """Return TabbyAPI's answer in one piece as OpenAI would give it; `model` has written it."""
    named = answer.get("model") or answer.pop("model_name", None) or model
    choices = answer.get("choices") if endpoint != EMBEDDINGS else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            complete(choice)
            if endpoint == CHAT and isinstance(message := choice.get("message"), dict):
                message.setdefault("refusal", None)
                if message.get("tool_calls") is None:
                    message.pop("tool_calls", None)
    return {**answer, "model": named}


def complete(choice: dict[str, Any]) -> None:
    """Put in what the log probabilities of a choice lack. TabbyAPI does not say which bytes a token has: that is null."""
    told = choice.setdefault("logprobs", None)
    if not isinstance(told, dict) or not isinstance(tokens := told.get("content"), list):
        return
    told.setdefault("refusal", None)
    for token in tokens:
        if isinstance(token, dict):
            others = token.setdefault("top_logprobs", [])
            for each in (token, *(others if isinstance(others, list) else ())):
                if isinstance(each, dict):
                    each.setdefault("bytes", None)
