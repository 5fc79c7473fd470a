from __future__ import annotations

import asyncio
import threading
import time

import pytest
from support.servers import SERVER

from models_admin.servers import connections
from models_admin.tabby import aclient, errors, passage
from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.wire import ModelCard, Usage

MESSAGES = [{"role": "user", "content": "Hi"}]


def token(text="", *, finish=None, **more):
    delta = {"content": text, **more.pop("delta", {})}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "model": "Llama", **more}


@pytest.fixture
async def tabby(server):
    async with AsyncTabby(server.url, "admin-secret", "api-secret", stall_timeout=5) as client:
        yield client


def script_of(*events, done=True):
    def script(peer):
        peer.head()
        for event in events:
            peer.event(event)
        if done:
            peer.event(b"[DONE]")
        peer.end()

    return script


async def read(stream):
    """All deltas of a stream, and the error that ended it."""
    deltas = []
    async with stream:
        try:
            async for delta in stream:
                deltas.append(delta)
        except errors.TabbyError as error:
            return deltas, error
    return deltas, None


def text_of(deltas):
    return "".join(delta.text for delta in deltas)


async def happened(event):
    return await asyncio.to_thread(event.wait, 10)


async def test_a_reply_comes_whole_with_its_usage(server, tabby):
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "total_time": 0.5}
    server.script = script_of(
        token("Hel"),
        token("lo", delta={"reasoning_content": "hm"}),
        token(finish="length", usage={**usage, "completion_tokens_per_sec": "Indeterminate"}),
    )
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert error is None
    assert text_of(deltas) == "Hello"
    assert "".join(delta.reasoning for delta in deltas) == "hm"
    assert sum(delta.pieces for delta in deltas) == 2
    assert deltas[-1].finish_reason == "length"
    assert deltas[-1].usage == Usage(5, 3, 8, None, 0.5)
    assert deltas[-1].model == "Llama"


async def test_what_is_asked(server, tabby):
    server.script = script_of()
    await read(tabby.stream_chat(MESSAGES, params={"temperature": 0.5, "max_tokens": 9, "model": "other"}))
    request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer api-secret"
    assert request.json == {
        "messages": MESSAGES,
        "temperature": 0.5,
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_an_api_key(server):
    server.script = script_of()
    async with AsyncTabby(server.url, "admin-secret") as tabby:
        await read(tabby.stream_chat(MESSAGES))
    assert server.requests[0].headers["authorization"] == "Bearer admin-secret"


def asked(server):
    """What was asked of the server: which fields that have to do with a continuation, and the last message."""
    names = ("continue_final_message", "add_generation_prompt", "response_prefix")
    return [
        ({name: peer.json[name] for name in names if name in peer.json}, peer.json["messages"][-1]["content"])
        for peer in server.requests
    ]


ASKING = ({"continue_final_message": True, "response_prefix": "So far"}, "Hi")
CONTINUED = ({"continue_final_message": True, "add_generation_prompt": False}, "So far")
PREFIXED = ({"response_prefix": "So far"}, "Hi")


def refuses(when):
    """A script that answers 422 to the bodies for which `when(body)` holds, and goes on for the others."""
    goes_on = script_of(token(" and on"))

    def script(peer):
        if when(peer.json):
            peer.answer(422, {"detail": "continue_final_message is not to be had so"})
        else:
            goes_on(peer)

    return script


def strict(body):
    """A TabbyAPI that knows how to continue a message."""
    return body.get("continue_final_message") and body.get("add_generation_prompt", True)


async def test_a_reply_is_gone_on_with_as_the_last_message(server, tabby):
    server.script = refuses(strict)
    for _ in range(2):
        deltas, error = await read(tabby.stream_chat(MESSAGES, prefix="So far"))
        assert (text_of(deltas), error) == (" and on", None)
    assert asked(server) == [ASKING, CONTINUED, CONTINUED], "what it understands is asked once"
    assert server.requests[1].json["messages"] == [*MESSAGES, {"role": "assistant", "content": "So far"}]


async def test_an_older_tabbyapi_is_given_the_prefix(server, tabby):
    """It drops what it does not know, so it must never be asked in the way of the newer ones."""
    server.script = refuses(lambda body: False)
    for _ in range(2):
        deltas, error = await read(tabby.stream_chat(MESSAGES, prefix="So far"))
        assert (text_of(deltas), error) == (" and on", None)
    assert asked(server) == [ASKING, ASKING]


async def test_a_template_that_hides_the_last_message_is_given_the_prefix(server, tabby):
    server.script = refuses(lambda body: body.get("continue_final_message"))
    deltas, error = await read(tabby.stream_chat(MESSAGES, prefix="So far"))
    assert (text_of(deltas), error) == (" and on", None)
    assert asked(server) == [ASKING, CONTINUED, PREFIXED]


async def test_another_tabbyapi_is_asked_anew_what_it_understands(server, tabby):
    server.script = refuses(strict)
    await read(tabby.stream_chat(MESSAGES, prefix="So far"))
    server.script = lambda peer: peer.reset()
    assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Unreachable)
    server.requests.clear()
    server.script = refuses(lambda body: False)
    await read(tabby.stream_chat(MESSAGES, prefix="So far"))
    assert asked(server) == [ASKING]


async def test_a_refusal_for_another_reason_is_told(server, tabby):
    server.script = refuses(lambda body: True)
    _, error = await read(tabby.stream_chat(MESSAGES, prefix="So far"))
    assert isinstance(error, errors.Rejected)
    assert asked(server) == [ASKING, CONTINUED, PREFIXED]


async def test_one_read_is_one_delta(server, tabby):
    def script(peer):
        peer.head()
        peer.chunk(b"".join(b'data: {"choices":[{"delta":{"content":"%d"}}]}\r\n\r\n' % n for n in range(10)))
        peer.event(b"[DONE]")
        peer.end()

    server.script = script
    deltas, _ = await read(tabby.stream_chat(MESSAGES))
    assert [(delta.text, delta.pieces) for delta in deltas] == [("0123456789", 10)]


async def test_text_comes_through_any_cut(server, tabby):
    def script(peer):
        peer.head()
        for (
            byte
        ) in 'data: {"choices":[{"delta":{"content":"Grüße 👋"}}]}\r\n\r\ndata: [DONE]\r\n\r\n'.encode():
            peer.chunk(bytes([byte]))
        peer.end()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert (text_of(deltas), error) == ("Grüße 👋", None)


async def test_a_delta_is_there_as_soon_as_it_was_sent(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("first"))
        peer.wait_until_closed()

    server.script = script
    async with tabby.stream_chat(MESSAGES) as stream:
        assert (await anext(stream)).text == "first"
    assert await happened(server.gone)


async def test_events_after_done_are_not_waited_for(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("all"))
        peer.event(b"[DONE]")
        peer.ping_until_closed()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert (text_of(deltas), error) == ("all", None)
    assert await happened(server.gone)


async def test_one_bad_byte_does_not_end_a_reply(server, tabby):
    server.script = script_of(b'{"choices":[{"delta":{"content":"a\xffb"}}]}', token("c\x00d"))
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert (text_of(deltas), error) == ("a\ufffdbcd", None)


async def test_usage_in_an_event_without_choices_is_taken(server, tabby):
    server.script = script_of(token("a"), {"choices": [], "usage": {"total_tokens": 3}})
    deltas, _ = await read(tabby.stream_chat(MESSAGES))
    assert deltas[-1].usage == Usage(None, None, 3, None, None)


async def test_leaving_the_context_closes_the_connection(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        peer.ping_until_closed()

    server.script = script
    async with tabby.stream_chat(MESSAGES) as stream:
        async for _ in stream:
            break
    assert await happened(server.gone)


async def test_cancelling_the_reader_closes_the_connection(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        peer.ping_until_closed()

    server.script = script
    began = asyncio.Event()

    async def reader():
        async with tabby.stream_chat(MESSAGES) as stream:
            async for _ in stream:
                began.set()

    task = asyncio.create_task(reader())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await happened(server.gone)


async def test_cancelling_before_the_headers_closes_the_connection(server, tabby):
    server.script = lambda peer: peer.wait_until_closed()
    task = asyncio.create_task(read(tabby.stream_chat(MESSAGES)))
    assert await happened(server.received)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await happened(server.gone)


async def test_a_closed_stream_ends(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        peer.wait_until_closed()

    server.script = script
    async with tabby.stream_chat(MESSAGES) as stream:
        await anext(stream)
        stream.close()
        assert [delta async for delta in stream] == []
    assert await happened(server.gone)


async def test_closing_the_client_ends_its_streams(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        peer.wait_until_closed()

    server.script = script
    async with tabby.stream_chat(MESSAGES) as stream:
        await anext(stream)
        await tabby.aclose()
        with pytest.raises(errors.StreamCut):
            await anext(stream)
    assert await happened(server.gone)


@pytest.mark.parametrize("part", ["headers", "first", "later"])
async def test_a_server_that_sends_nothing_at_all_has_stalled(server, tabby, part):
    def script(peer):
        if part != "headers":
            peer.head()
        if part == "later":
            peer.event(token("a"))
        peer.wait_until_closed()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=0.3, first=600))
    assert text_of(deltas) == ("a" if part == "later" else "")
    assert isinstance(error, errors.Stalled)
    assert ("not even a ping" in str(error)) == (part != "later")
    assert await happened(server.gone)


async def test_pings_are_no_progress_once_a_token_has_come(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        peer.ping_until_closed()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=0.3, first=600))
    assert text_of(deltas) == "a"
    assert isinstance(error, errors.Stalled)
    assert await happened(server.gone)


async def test_pings_are_signs_of_life_before_the_first_token(server, tabby):
    """As while a long conversation is read, or while the request waits in TabbyAPI's own queue."""

    def script(peer):
        peer.head()
        peer.event(
            {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}
        )  # as other servers do: no token
        for _ in range(60):
            peer.chunk(b": ping - now\r\n\r\n")
            server.stop.wait(0.04)
        peer.event(token("at last"))
        peer.event(b"[DONE]")
        peer.end()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=1, first=600))
    assert (text_of(deltas), error) == ("at last", None)


async def test_the_first_token_has_a_limit_of_its_own(server, tabby):
    def script(peer):
        peer.head()
        peer.ping_until_closed()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=600, first=0.3))
    assert deltas == []
    assert isinstance(error, errors.Stalled)
    assert "No token came within 0.3 s" in str(error)
    assert "FIRST_TOKEN_TIMEOUT" in error.advice
    assert await happened(server.gone)


@pytest.mark.parametrize("junk", [b"\r\n", b"\n", b":\n", b"x\n", b'data: {"choices":[]}\n\n'])
async def test_megabytes_of_junk_are_taken_in_slices(server, tabby, junk):
    """Others have their turn between two slices of at most 2,048 lines."""
    size = 2 * 1024 * 1024

    def script(peer):
        peer.head()
        peer.chunk(junk * (size // len(junk)))
        peer.event(token("well"))
        peer.event(b"[DONE]")
        peer.end()

    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    server.script = script
    task = asyncio.create_task(others())
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    task.cancel()
    assert (text_of(deltas), error) == ("well", None)
    assert turns >= size // 4096


async def test_junk_without_end_is_no_progress(server, tabby):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        while True:
            peer.chunk(b"\n" * 65536)

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=0.3))
    assert text_of(deltas) == "a"
    assert isinstance(error, errors.Stalled)


async def test_a_process_that_was_frozen_reads_what_came_meanwhile(server, tabby):
    frozen, over, taken = threading.Event(), threading.Event(), threading.Event()

    def script(peer):
        peer.head()
        peer.event(token("a"))
        frozen.wait(30)
        peer.event(token("b"))
        over.set()
        taken.wait(30)
        peer.event(b"[DONE]")
        peer.end()

    server.script = script
    async with tabby.stream_chat(MESSAGES, stall=1.0) as stream:
        assert (await anext(stream)).text == "a"
        more = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)  # it waits for more
        time.sleep(2.0)  # noqa: ASYNC251 (the process is frozen)
        frozen.set()
        assert over.wait(30)
        assert (await more).text == "b"
        taken.set()
        assert [each async for each in stream] == []


async def test_a_process_that_was_frozen_before_an_answer_asks_again(server, tabby):
    asked = threading.Event()

    def script(peer):
        asked.set()
        server.stop.wait(30)

    server.script = script

    async def ask():
        async with tabby.stream_chat(MESSAGES, stall=1.0) as stream:
            await anext(stream)

    asking = asyncio.create_task(ask())
    while not asked.is_set():
        await asyncio.sleep(0.01)
    time.sleep(2.0)  # noqa: ASYNC251 (the process is frozen)
    with pytest.raises(errors.StreamCut, match="held up"):
        await asking


async def test_a_slow_stream_that_goes_on_is_not_stalled(server, tabby):
    def script(peer):
        peer.head()
        for _ in range(8):
            peer.event(token("x"))
            server.stop.wait(0.1)
        peer.event(b"[DONE]")
        peer.end()

    server.script = script
    deltas, error = await read(tabby.stream_chat(MESSAGES, stall=0.5))
    assert (text_of(deltas), error) == ("x" * 8, None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"detail": "Invalid key api-secret admin-secret"}, errors.KeyRefused),
        (503, {"detail": "No models are currently loaded."}, errors.NotLoaded),
        (503, {"detail": "Model is being loaded."}, errors.NotLoaded),
        (500, b"Internal Server Error", errors.ServerFault),
        (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, errors.ContextOverflow),
        (400, {"detail": "bad"}, errors.Rejected),
        (422, {"detail": [{"loc": ["body", "temperature"], "msg": "bad"}]}, errors.Rejected),
        (302, b"", errors.Garbled),
        (404, b"<html>no</html>", errors.Garbled),
        (200, {"choices": []}, errors.Garbled),
    ],
)
async def test_a_refusal_before_the_stream(server, tabby, status, body, kind):
    server.script = lambda peer: peer.answer(status, body)
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert deltas == []
    assert type(error) is kind
    assert "secret" not in str(error)


@pytest.mark.parametrize("kind", ["text/html", "text/event-stream"])
async def test_html_with_a_200_is_garbled(server, tabby, kind):
    server.script = lambda peer: peer.answer(200, b"<html>\n<body>\n</html>\n", kind)
    assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Garbled)


@pytest.mark.parametrize(
    "event",
    [
        b"not json",
        b"\xff\xfe",
        [1],
        7,
        None,
        {},
        {"choices": 3},
        {"choices": [3]},
        {"choices": [{"delta": 3}]},
        {"choices": [{"delta": {"content": 3}}]},
        {"choices": [{"delta": {}}], "usage": 3},
    ],
)
async def test_an_event_of_another_shape_is_garbled(server, tabby, event):
    server.script = script_of(event)
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert deltas == []
    assert isinstance(error, errors.Garbled)


async def test_an_event_without_end_is_bounded(server, tabby):
    def script(peer):
        peer.head()
        while True:
            peer.chunk(b"x" * 65536)

    server.script = script
    assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Garbled)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"message": "Chat completion aborted. Check the log."}}, errors.StreamError),
        ({"error": "it broke"}, errors.StreamError),
        ({"error": {"message": "long", "code": "context_length_exceeded"}}, errors.ContextOverflow),
        ({"error": {"message": "No models are currently loaded."}}, errors.NotLoaded),
    ],
)
async def test_an_error_event_keeps_the_text_before_it(server, tabby, event, kind):
    server.script = script_of(token("so far"), event, token("never"), done=False)
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert text_of(deltas) == "so far"
    assert type(error) is kind


async def test_an_error_closes_the_connection_by_itself(server, tabby):
    def script(peer):
        peer.head()
        peer.event({"error": {"message": "aborted"}})
        peer.ping_until_closed()

    server.script = script
    with pytest.raises(errors.StreamError):
        await anext(tabby.stream_chat(MESSAGES))
    assert await happened(server.gone)


async def test_a_stream_without_done_is_cut(server, tabby):
    server.script = script_of(token("a"), token(finish="stop"), done=False)
    deltas, error = await read(tabby.stream_chat(MESSAGES))
    assert text_of(deltas) == "a"
    assert isinstance(error, errors.StreamCut)


@pytest.mark.parametrize("end", ["reset", "close", "mid_chunk"])
async def test_a_connection_lost_in_mid_stream_is_a_cut(server, tabby, end):
    def script(peer):
        peer.head()
        peer.event(token("a"))
        server.go.wait(10)
        if end == "reset":
            peer.reset()
        elif end == "mid_chunk":
            peer.send(b"ff\r\ndata: {")

    server.script = script
    async with tabby.stream_chat(MESSAGES) as stream:
        assert (await anext(stream)).text == "a"
        server.go.set()
        with pytest.raises(errors.StreamCut):
            await anext(stream)


async def test_a_stream_whose_chunks_make_no_sense_ends(server, tabby):
    """aiohttp does not wake the reader for this, so that the stall ends it at the latest."""

    def script(peer):
        peer.head()
        peer.event(token("a"))
        server.go.wait(10)
        peer.send(b"zz\r\nhello\r\n")

    server.script = script
    async with tabby.stream_chat(MESSAGES, stall=0.3) as stream:
        assert (await anext(stream)).text == "a"
        server.go.set()
        with pytest.raises((errors.StreamCut, errors.Stalled)):
            await anext(stream)


async def test_a_connection_lost_before_the_answer_is_unreachable(server, tabby):
    server.script = lambda peer: peer.reset()
    assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Unreachable)


async def test_what_is_not_http_is_garbled(server, tabby):
    server.script = lambda peer: peer.send(b"220 mail.example ESMTP\r\n\r\n")
    assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Garbled)
    with pytest.raises(errors.Garbled):
        await tabby.current()


async def test_nobody_listens(server):
    server.close()
    async with AsyncTabby(server.url) as tabby:
        assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Unreachable)
        with pytest.raises(errors.Unreachable):
            await tabby.current()


async def test_an_address_that_is_none_is_said():
    async with AsyncTabby("tabbyapi:5000") as tabby:
        assert isinstance((await read(tabby.stream_chat(MESSAGES)))[1], errors.Unreachable)


async def test_current(server, tabby):
    server.script = lambda peer: peer.answer(200, {"id": "Llama", "parameters": {"max_seq_len": 4096}})
    assert await tabby.current() == ModelCard("Llama", {"max_seq_len": 4096})
    assert server.requests[0].headers["authorization"] == "Bearer admin-secret"


@pytest.mark.parametrize("status", [503, 400])
async def test_current_is_none_when_no_model_is_loaded(server, tabby, status):
    server.script = lambda peer: peer.answer(status, {"detail": "No models are currently loaded."})
    assert await tabby.current() is None


async def test_another_503_is_no_unloaded_model(server, tabby):
    server.script = lambda peer: peer.answer(503, b"<html>upstream down</html>", "text/html")
    with pytest.raises(errors.Busy):
        await tabby.current()


async def test_a_card_that_does_not_come_times_out(server, monkeypatch):
    monkeypatch.setattr(aclient, "CONNECT_SECONDS", 0.1)
    server.script = lambda peer: peer.wait_until_closed()
    async with AsyncTabby(server.url, read_timeout=0.1) as tabby:
        with pytest.raises(errors.TimedOut):
            await tabby.current()


async def test_an_endless_card_is_bounded(server, tabby):
    def script(peer):
        peer.head(200, "application/json", "")
        while True:
            peer.send(b" " * 65536)

    server.script = script
    with pytest.raises(errors.Garbled, match="longer than"):
        await tabby.current()


async def test_the_session_is_kept_and_made_again_after_closing(server, tabby):
    server.script = script_of(token("a"))
    session = tabby.connections.session()
    await read(tabby.stream_chat(MESSAGES))
    assert tabby.connections.session() is session
    await tabby.aclose()
    assert session.closed
    assert text_of((await read(tabby.stream_chat(MESSAGES)))[0]) == "a"


async def test_the_settings_make_a_client(server, settings):
    settings.TABBY_HOST = server.url
    settings.TABBY_API_KEY = "from-settings"
    server.script = script_of(token("a"))
    async with connections.async_client(SERVER) as tabby:
        assert text_of((await read(tabby.stream_chat(MESSAGES)))[0]) == "a"
    assert server.requests[0].headers["authorization"] == "Bearer from-settings"


CHAT = "/v1/chat/completions"


def answering(data, **more):
    def script(peer):
        peer.answer(200, data, **more)
        peer.wait_until_closed()

    return script


async def test_a_whole_answer_is_passed_on(server, tabby):
    server.script = answering({"id": "1", "choices": []})
    assert await tabby.pass_whole(CHAT, {"messages": MESSAGES}, 10) == {"id": "1", "choices": []}


async def test_a_whole_answer_that_is_too_long_is_none_and_is_not_read_on(server, tabby, monkeypatch):
    monkeypatch.setattr(passage, "MAX_ANSWER", 1000)
    server.script = answering({"choices": [], "x": "x" * 970})
    assert (await tabby.pass_whole(CHAT, {}, 10))["choices"] == []

    def endless(peer):
        peer.head()
        while True:
            peer.chunk(b" " * 500)

    server.script = endless
    with pytest.raises(errors.Garbled, match="too long"):
        await tabby.pass_whole(CHAT, {}, 10)


@pytest.mark.parametrize("data", [b"", b"[]", b"<p>", b'"x"'])
async def test_a_whole_answer_that_is_none(server, tabby, data):
    server.script = answering(data)
    with pytest.raises(errors.Garbled):
        await tabby.pass_whole(CHAT, {}, 10)


async def test_a_whole_answer_that_does_not_come(server, tabby):
    server.script = lambda peer: peer.wait_until_closed()
    with pytest.raises(errors.TimedOut):
        await tabby.pass_whole(CHAT, {}, 0.2)
    assert await happened(server.gone)
