"""POST /v1/completions: text that goes on behind a prompt."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

from aiohttp import web

from .auth import permission as permission_of
from .auth import require_api
from .chat import Streamed, choices, most_tokens, switch_inline, wants_usage, whole
from .config import ModelSpec
from .frames import TextFrames, error_event
from .replies import Reply, compose, split_directive
from .sandbox import CALL, Call
from .wire import NOTHING_LOADED, Refusal, context_too_long, invalid

ABORTED = "Completion aborted. Please check the server console."


async def completions(request: web.Request) -> web.StreamResponse:
    """Go on behind each prompt, `n` times, with the loaded model."""
    call = request[CALL]
    call.require_json()
    auth = call.sandbox.config.auth
    require_api(auth, request.headers)
    call.record.permission = permission_of(auth, request.headers)
    body = call.body()
    prompts = _prompts(body)
    await switch_inline(call, body.get("model"))
    engine = call.sandbox.engine
    model, shown = engine.loaded, engine.parameters
    if model is None or shown is None:
        raise Refusal(503, NOTHING_LOADED)
    reply = _reply(model, prompts, body, engine.token_rate)
    if why := shown.refusal(reply.prompt_tokens):
        raise context_too_long(why)
    call.record.model = model.name
    frames = TextFrames(model.name, reply)
    if not (body.get("stream") and engine.streams):
        return await whole(call, reply, frames, usage=wants_usage(body))
    if most_tokens(body) is None and body.get("max_tokens") != 0:
        return await _crashes(call)
    return await Streamed(call, reply, frames, usage=wants_usage(body)).run()


def _prompts(body: dict[str, Any]) -> list[str]:
    if "prompt" not in body:
        raise invalid("missing", ["prompt"], "Field required", body)
    prompt = body["prompt"]
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list) or not all(isinstance(each, str) for each in prompts):
        raise invalid("string_type", ["prompt", "str"], "Input should be a valid string", prompt)
    return prompts


def _reply(model: ModelSpec, prompts: list[str], body: dict[str, Any], rate: float | None) -> Reply:
    """Return all choices as one reply. What stands behind a directive is what has been said already."""
    count, logprobs = choices(body)
    replies = []
    for prompt in prompts:
        directive, said = split_directive(prompt)
        messages = [{"role": "user", "content": directive or prompt}]
        replies.append(compose(model, messages, said if directive else "", most_tokens(body), rate))
    total = count * len(prompts)
    first = replies[0]
    if len(prompts) == 1:
        return first.as_choices(total, logprobs=logprobs)
    tokens = chain.from_iterable(
        (replace(token, index=number) for token in each.tokens) for number, each in enumerate(replies)
    )
    return replace(first, tokens=tokens, choices=total, logprobs=logprobs)


async def _crashes(call: Call) -> web.StreamResponse:
    """Answer a stream without `max_tokens`: 200, an error, and the end."""
    stream = call.stream()
    await stream.open()
    stream.write(error_event(ABORTED))
    call.record.end("refused")
    return await stream.end()
