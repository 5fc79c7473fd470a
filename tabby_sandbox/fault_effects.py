"""Carries faults out: instead of an answer, before one, or in the middle of a stream."""

from __future__ import annotations

import asyncio

from aiohttp import web

from .faults import Fault
from .sandbox import Call
from .sse import EventStream, event, hang_up
from .wire import json_response

# Kinds that break a stream off; loads and chats carry the others out themselves.
BREAKS = {"cut", "cut_mid_line", "abrupt"}
GARBAGE = '{"id": "chatcmpl-, object: \x00 choices=[oops'
HTML = (
    "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    "<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>\n"
)


async def fault_response(call: Call, *, streams: bool) -> web.Response | None:
    """Return the answer of the fault in the place of the endpoint's; None: the endpoint answers."""
    fault = call.fault
    if fault is None:
        return None
    match fault.kind:
        case "status":
            return _status(fault)
        case "html":
            return web.Response(status=fault.status or 502, text=fault.body or HTML, content_type="text/html")
        case "drop":
            return await _hang_up(call, reset=False)
        case _ if not streams:
            return await _plain(call, fault)
    return None


def _status(fault: Fault) -> web.Response:
    status = fault.status or 500
    if fault.body is not None:
        return web.Response(status=status, text=fault.body)
    return json_response({"detail": fault.words()}, status)


async def _plain(call: Call, fault: Fault) -> web.Response | None:
    """Do the same for endpoints that answer with one JSON document."""
    match fault.kind:
        case "hang":
            await call.sandbox.faults.hold(fault.seconds)
        case "slow":
            await asyncio.sleep(fault.seconds or 1.0)
        case "garbage" | "empty":
            text = "" if fault.kind == "empty" else fault.body or GARBAGE
            return web.Response(status=fault.status or 200, text=text, content_type="application/json")
        case "cut" | "cut_mid_line":
            return await _half(call)
        case "abrupt":
            return await _hang_up(call, reset=True)
        case "error" | "oom" | "corrupted" | "error_event" | "finished_then_error":
            return _status(fault)
    return None


async def _hang_up(call: Call, *, reset: bool) -> web.Response:
    call.record.end(call.fault.kind if call.fault else "drop")
    hang_up(call.request, reset=reset)
    return web.Response(status=500)


async def _half(call: Call) -> web.Response:
    """Send headers that promise more than comes, and then end the connection."""
    call.record.end(call.fault.kind if call.fault else "cut")
    transport = call.request.transport
    if transport is not None:
        transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
            b'{"object":"list","data":[{"id":"Lla'
        )
    hang_up(call.request, reset=False)
    return web.Response(status=500)


async def break_stream(call: Call, stream: EventStream, following: bytes) -> web.StreamResponse:
    """Carry out a fault of BREAKS; `following` is the event that would have come next."""
    kind = call.fault.kind if call.fault else "cut"
    call.record.end(kind)
    if kind == "cut":
        return await stream.end()
    if kind == "cut_mid_line":
        stream.write(following[: len(following) // 2])
    return stream.break_off(reset=kind == "abrupt")


def garbage_event(call: Call) -> bytes:
    body = call.fault.body if call.fault and call.fault.body else GARBAGE
    return event(body.encode())
