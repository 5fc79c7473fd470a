"""The requests that continue a reply which was cut, for new and old releases of TabbyAPI.

An old release puts `response_prefix` behind the prompt. Where the model's template ends the prompt with `<think>`, the
answer so far is then taken for thoughts. `continue_final_message` (TabbyAPI since 2026-07-15) leaves the last message open
instead. An old release drops fields that it does not know: asked in the new way, it would begin a new answer.
"""

from __future__ import annotations

from typing import Any


def bodies(body: dict[str, Any], prefix: str, *, known: bool) -> list[dict[str, Any]]:
    """Return chats to send one after the other, as long as TabbyAPI refuses them with 422 (before it generates anything).

    The first one tells old from new: where `continue_final_message` is understood, it is refused as long as
    `add_generation_prompt` is not false; elsewhere it is a plain `response_prefix`. It is left out if TabbyAPI is `known`
    to understand. The last one is for templates that do not show the last message as it is.
    """
    prefixed = {**body, "response_prefix": prefix}
    last = {"role": "assistant", "content": prefix}
    continued = {**body, "messages": [*body["messages"], last]}
    continued |= {"continue_final_message": True, "add_generation_prompt": False}
    asking = {**prefixed, "continue_final_message": True}
    return [continued, prefixed] if known else [asking, continued, prefixed]


def proves(body: dict[str, Any]) -> bool:
    """Whether an answer to `body`, one of bodies(), shows that TabbyAPI understands `continue_final_message`."""
    return "add_generation_prompt" in body
