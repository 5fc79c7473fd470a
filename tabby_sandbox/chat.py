"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio
import time
import uuid
from itertools import islice
from typing import Any, NoReturn

from aiohttp import web

from .auth import permission as permission_of
from .auth import require_api, require_permission
from .fault_effects import BREAKS, GARBAGE, break_stream, garbage_event
from .faults import ABORTED, Fault
from .frames import Frames, error_event
from .pace import play
from .replies import Reply, Token, compose, text_of
from .sandbox import CALL, Call
from .sse import EventStream, event
from .wire import (
    NO_TEMPLATE,
    NOTHING_LOADED,
    Refusal,
    context_too_long,
    crash,
    invalid,
    json_response,
    require_messages,
)
from .work import Busy, Generation

_ERRORS = {"error", "error_event", "oom", "corrupted"}


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer with a reply by the loaded model, streamed or whole."""
    call = request[CALL]
    call.require_json()
    auth = call.sandbox.config.auth
    require_api(auth, request.headers)
    call.record.permission = permission_of(auth, request.headers)
    body = call.body()
    _require_tools(body)
    messages, prefix = _prompt(body, continues=call.sandbox.config.server.continue_final_message)
    max_tokens = most_tokens(body)
    await switch_inline(call, body.get("model"))
    engine = call.sandbox.engine
    model, shown = engine.loaded, engine.parameters
    if model is None or shown is None:
        raise Refusal(503, NOTHING_LOADED)
    if not shown.prompt_template:
        raise Refusal(422, NO_TEMPLATE)
    if prefix and model.opens_think and body.get("add_generation_prompt", True):
        prefix = f"<think>\n{prefix}"
    count, logprobs = choices(body)
    reply = compose(model, messages, prefix, max_tokens, engine.token_rate)
    reply = reply.as_choices(count, logprobs=logprobs)
    if why := shown.refusal(reply.prompt_tokens):
        raise context_too_long(why)
    call.record.model = model.name
    frames = Frames(model.name, reply)
    if body.get("stream") and engine.streams:
        return await Streamed(call, reply, frames, usage=wants_usage(body)).run()
    return await whole(call, reply, frames, usage=wants_usage(body))


def _prompt(body: dict[str, Any], *, continues: bool) -> tuple[list[dict[str, Any]], str]:
    """Return the messages to answer, and the text that the reply continues.

    A TabbyAPI that does not know `continue_final_message` drops it like any other field that it does not know.
    """
    messages = require_messages(body)
    prefix = body.get("response_prefix") or ""
    if not isinstance(prefix, str):
        raise invalid("string_type", ["response_prefix"], "Input should be a valid string", prefix)
    generates = body.get("add_generation_prompt", True)
    if not (continues and body.get("continue_final_message")):
        return messages, prefix if generates else ""
    if generates:
        raise Refusal(422, "continue_final_message requires add_generation_prompt to be false")
    if not messages:
        raise Refusal(422, "continue_final_message is set but there are no messages to continue")
    if messages[-1].get("content") is None:
        raise Refusal(422, "continue_final_message is set but the final message has no content to continue")
    return messages[:-1], text_of(messages[-1]) + prefix


def choices(body: dict[str, Any]) -> tuple[int, bool]:
    """How many choices are asked for, and whether with log probabilities."""
    count = body.get("n", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise invalid("int_type", ["n"], "Input should be a valid integer", count)
    return count, bool(body.get("logprobs") or body.get("top_logprobs"))


def _require_tools(body: dict[str, Any]) -> None:
    """A tool has a name, a description and parameters."""
    for number, tool in enumerate(body.get("tools") or []):
        function = tool.get("function", {})
        for name in ("name", "description", "parameters"):
            if name not in function:
                raise invalid("missing", ["tools", number, "function", name], "Field required", function)


def most_tokens(body: dict[str, Any]) -> int | None:
    value = body.get("max_tokens", body.get("max_completion_tokens"))
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise invalid("int_type", ["max_tokens"], "Input should be a valid integer", value)
    return value or None


def wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


async def switch_inline(call: Call, name: Any) -> None:
    """Do what TabbyAPI does with the field `model`: nothing, an inline switch, or a crash."""
    if not name:
        return
    engine, options = call.sandbox.engine, call.sandbox.config.server
    loaded = engine.loaded
    if options.inline_loading and (loaded is None or loaded.name != name):
        if require_permission(call.sandbox.config.auth, call.request.headers) != "admin":
            if name not in options.dummy_models:
                raise Refusal(401, f"Unable to switch model to {name} because an admin key isn't provided")
        elif name not in options.dummy_models and (model := engine.find(str(name))) is not None:
            load = engine.start_load(model, {})
            call.record.events = load.history
            while await load.events.get() is not None:
                pass
            if load.failed:
                raise crash()
    if engine.loaded is None:
        raise crash()


async def _hang() -> NoReturn:
    """Wait until the client goes (or the sandbox is reset)."""
    while True:
        await asyncio.get_running_loop().create_future()


class Streamed:
    """One streamed reply, with the fault that hits it."""

    def __init__(self, call: Call, reply: Reply, frames: Frames, *, usage: bool) -> None:
        self._call, self._reply, self._frames, self._usage = call, reply, frames, usage
        self._stream: EventStream = call.stream()
        self._rate = reply.rate
        self._tokens = iter(reply.tokens)

    async def run(self) -> web.StreamResponse:
        record = self._call.record
        await self._stream.open()
        engine = self._call.sandbox.engine
        try:
            generation = engine.begin()
        except Busy:
            self._stream.write(error_event(ABORTED))
            record.end("refused")
            return await self._stream.end()
        try:
            return await self._reply_with(generation)
        finally:
            engine.finish(generation)
            self._stream.close()
            record.tokens = generation.tokens

    async def _reply_with(self, generation: Generation) -> web.StreamResponse:
        record, fault, stream = self._call.record, self._call.fault, self._stream
        frames = self._frames
        await self._call.sandbox.engine.wait_for_turn(generation)
        if self._reply.prefill > 0:
            await asyncio.wait((generation.aborted,), timeout=self._reply.prefill)
        record.first_token_at = time.time()
        if fault is not None:
            broken = await self._apply_fault(fault, generation, frames)
            if broken is not None:
                return broken
        await play(stream, generation, self._tokens, frames.token, self._rate)
        if generation.aborted.done():
            # As after TabbyAPI's unload: no error, no end, only pings.
            record.tokens = generation.tokens
            record.end("aborted")
            await _hang()
        stream.write(frames.finish(generation.tokens, usage=self._usage))
        if self._usage:
            record.usage = {"prompt": self._reply.prompt_tokens, "completion": generation.tokens}
        record.finish_reason = self._reply.finish_reason
        if fault and fault.kind == "finished_then_error":
            return await self._fail(fault)
        if not (fault and fault.kind == "no_done"):
            stream.write(event(b"[DONE]"))
        record.end("no_done" if fault and fault.kind == "no_done" else "completed")
        return await stream.end()

    async def _apply_fault(
        self, fault: Fault, generation: Generation, frames: Frames
    ) -> web.StreamResponse | None:
        """Send the reply up to the fault, and the fault; return None if the reply goes on after it."""
        if fault.kind in {"slow", "empty", "no_done", "finished_then_error"}:
            self._rate = 1 / (fault.seconds or 1.0) if fault.kind == "slow" else self._rate
            self._tokens = iter(()) if fault.kind == "empty" else self._tokens
            return None
        await play(self._stream, generation, islice(self._tokens, fault.at), frames.token, self._rate)
        if generation.aborted.done():
            return None
        if fault.kind in BREAKS:
            return await break_stream(self._call, self._stream, frames.token(Token(" unfinished")))
        if fault.kind in _ERRORS:
            return await self._fail(fault)
        if fault.kind == "garbage":
            self._stream.write(garbage_event(self._call))
        elif fault.kind == "flood":
            await self._flood((fault.body or "\r\n").encode(), fault.seconds or 1.0)
        elif fault.kind == "hang":
            hold = asyncio.ensure_future(self._call.sandbox.faults.hold(fault.seconds))
            try:
                await asyncio.wait((hold, generation.aborted), return_when=asyncio.FIRST_COMPLETED)
            finally:
                hold.cancel()
        return None

    async def _flood(self, junk: bytes, seconds: float) -> None:
        """Send junk as fast as the reader takes it."""
        piece = junk * max(1, 65536 // len(junk))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._stream.write(piece)
            await self._stream.drain()

    async def _fail(self, fault: Fault) -> web.StreamResponse:
        self._stream.write(error_event(fault.words()))
        self._call.record.end(fault.kind)
        return await self._stream.end()


async def whole(call: Call, reply: Reply, frames: Frames, *, usage: bool) -> web.Response:
    """Answer with the reply in one piece, after the time that it takes."""
    engine, record = call.sandbox.engine, call.record
    refused = f"Chat completion {uuid.uuid4().hex} aborted. Maybe the model was unloaded? " + (
        "Please check the server console."
    )
    try:
        generation = engine.begin()
    except Busy as busy:
        raise Refusal(503, refused) from busy
    try:
        started = time.monotonic()
        if call.fault is not None and call.fault.kind != "empty":
            answer = await _whole_fault(call, call.fault, refused)
            if answer is not None:
                return answer
        tokens = [] if call.fault and call.fault.kind == "empty" else list(reply.tokens)
        seconds = reply.prefill + (len(tokens) / reply.rate if reply.rate > 0 else 0)
        await asyncio.wait((generation.aborted,), timeout=seconds)
        if generation.aborted.done():
            record.end("aborted")
            await _hang()
        generation.tokens = record.tokens = len(tokens)
        record.finish_reason = reply.finish_reason
        if usage:
            record.usage = {"prompt": reply.prompt_tokens, "completion": len(tokens)}
        spent = time.monotonic() - started
        return json_response(frames.document(tokens, spent if usage else None))
    finally:
        engine.finish(generation)


async def _whole_fault(call: Call, fault: Fault, refused: str) -> web.Response | None:
    match fault.kind:
        case "hang":
            await call.sandbox.faults.hold(fault.seconds)
        case "slow":
            await asyncio.sleep(fault.seconds or 1.0)
        case "garbage":
            return web.Response(text=fault.body or GARBAGE, content_type="application/json")
        case _:
            raise Refusal(fault.status or 503, fault.message or refused)
    return None
