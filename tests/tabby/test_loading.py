from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from models_admin.tabby import errors, loading
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.wire import LoadProgress


def progress(module, modules=3, phase="model", status="processing"):
    return {"model_type": phase, "module": module, "modules": modules, "status": status}


def failure(words):
    return {"error": {"message": words, "trace": None}}


@pytest.fixture
def tabby(server):
    with TabbyClient(server.url, "admin-secret", switch_timeout=5) as client:
        yield client


def script_of(*events):
    def script(peer):
        peer.head()
        for event in events:
            peer.event(event)
        peer.end()

    return script


def read(stream):
    """All that a stream gives, and the error that ended it."""
    seen = []
    with stream:
        try:
            seen.extend(stream)
        except errors.TabbyError as error:
            return seen, error
    return seen, None


def read_into(seen, stream):
    """A thread that reads `stream`: progress and the final error go to `seen`."""

    def run():
        try:
            with stream:
                for step in stream:
                    seen.append(step)
        except errors.TabbyError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_load_asks_with_its_options_and_tells_every_step(server, tabby):
    server.script = script_of(progress(1), progress(3), progress(3, status="finished"))
    seen, error = read(tabby.load("Llama", {"max_seq_len": 4096, "model_name": "other"}))
    assert error is None
    assert seen == [
        LoadProgress("model", 1, 3, False),
        LoadProgress("model", 3, 3, False),
        LoadProgress("model", 3, 3, True),
    ]
    request = server.requests[0]
    assert request.path == "/v1/model/load"
    assert request.headers["authorization"] == "Bearer admin-secret"
    assert request.json == {"model_name": "Llama", "max_seq_len": 4096}


def test_the_phases_are_told_apart(server, tabby):
    server.script = script_of(
        progress(3, phase="draft", status="finished"), progress(1), progress(3, status="finished")
    )
    seen, _ = read(tabby.load("Llama"))
    assert [(step.phase, step.finished) for step in seen] == [
        ("draft", True),
        ("model", False),
        ("model", True),
    ]


def test_nothing_is_sent_before_iteration(server, tabby):
    with tabby.load("Llama"):
        pass
    assert server.requests == []


def test_events_come_through_any_cut_of_chunks(server, tabby):
    def script(peer):
        peer.head()
        data = b'data: {"model_type":"model","module":1,"modules":3,"status":"processing"}\r\n\r\n'
        for byte in data * 2:
            peer.chunk(bytes([byte]))
        peer.end()

    server.script = script
    assert read(tabby.load("Llama")) == ([LoadProgress("model", 1, 3, False)] * 2, None)


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 10000", ""])
def test_a_step_is_there_as_soon_as_it_was_sent(server, tabby, framing):
    def script(peer):
        peer.head(framing=framing)
        if "chunked" in framing:
            peer.event(progress(1))
        else:
            peer.send(b'data: {"model_type":"model","module":1,"modules":3}\r\n\r\n')
        peer.wait_until_closed()

    server.script = script
    with tabby.load("Llama") as stream:
        assert next(stream).module == 1
    assert server.gone.wait(10)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 20 MiB", errors.OutOfMemory),
        ("Error while deserializing header", errors.FilesBroken),
        ("something else", errors.LoadFailed),
    ],
)
def test_an_error_event_fails_the_load_despite_the_200(server, tabby, words, kind):
    server.script = script_of(progress(1), failure(words), progress(2))
    seen, error = read(tabby.load("Llama"))
    assert seen == [LoadProgress("model", 1, 3, False)]
    assert type(error) is kind
    assert error.words == words
    assert "Llama" in str(error)


def test_an_error_after_finished_fails_the_load(server, tabby):
    server.script = script_of(progress(3, status="finished"), failure("CUDA out of memory"))
    seen, error = read(tabby.load("Llama"))
    assert seen[-1].finished
    assert isinstance(error, errors.OutOfMemory)


@pytest.mark.parametrize(
    "event",
    [
        b"not json",
        b"[DONE]",
        [1],
        7,
        None,
        {},
        {"model_type": "model", "module": 1},
        {"model_type": 1, "module": 1, "modules": 3},
        {"model_type": "model", "module": "1", "modules": 3},
        {"model_type": "model", "module": True, "modules": 3},
        {"model_type": "model", "module": -1, "modules": 3},
    ],
)
def test_an_event_of_another_shape_is_garbled(server, tabby, event):
    server.script = script_of(event)
    seen, error = read(tabby.load("Llama"))
    assert seen == []
    assert isinstance(error, errors.Garbled)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>hello</html>"),
        ("application/json", b'{"model_type":"model"}'),
        ("text/event-stream", b"<p>\n</p>\n"),
    ],
)
def test_a_200_that_is_no_stream_of_events_is_garbled(server, tabby, kind, body):
    server.script = lambda peer: peer.answer(200, body, kind)
    assert isinstance(read(tabby.load("Llama"))[1], errors.Garbled)


def test_an_event_without_end_is_bounded(server, tabby):
    def script(peer):
        peer.head()
        while True:
            peer.chunk(b"x" * 65536)

    server.script = script
    assert isinstance(read(tabby.load("Llama"))[1], errors.Garbled)


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (400, "Could not find the model path for load. Check model name or config.yml?", errors.ModelMissing),
        (401, "Invalid admin key admin-secret", errors.KeyRefused),
        (422, [{"loc": ["body", "cache_size"], "msg": "wrong"}], errors.Rejected),
        (500, "x", errors.ServerFault),
        (503, "x", errors.Busy),
    ],
)
def test_a_refusal_before_the_stream(server, tabby, status, detail, kind):
    server.script = lambda peer: peer.answer(status, {"detail": detail})
    _, error = read(tabby.load("Llama"))
    assert type(error) is kind
    assert "secret" not in str(error)


@pytest.mark.parametrize("end", ["reset", "close", "mid_chunk", "bad_chunk"])
def test_a_connection_lost_in_mid_stream_is_a_cut(server, tabby, end):
    def script(peer):
        peer.head()
        peer.event(progress(1))
        server.go.wait(10)
        if end == "reset":
            peer.reset()
        elif end == "mid_chunk":
            peer.send(b"ff\r\ndata: {")
        elif end == "bad_chunk":
            peer.send(b"zz\r\nhello\r\n")

    server.script = script
    with tabby.load("Llama") as stream:
        assert next(stream).module == 1
        server.go.set()
        with pytest.raises(errors.StreamCut):
            next(stream)


def test_a_stream_that_ends_inside_an_event_is_a_cut(server, tabby):
    def script(peer):
        peer.head()
        peer.chunk(b"data: {}\r\n")
        peer.end()

    server.script = script
    assert isinstance(read(tabby.load("Llama"))[1], errors.StreamCut)


def test_a_connection_lost_before_the_answer_is_unreachable(server, tabby):
    server.script = lambda peer: peer.reset()
    assert isinstance(read(tabby.load("Llama"))[1], errors.Unreachable)


def test_what_is_not_http_is_garbled_also_for_a_load(server, tabby):
    server.script = lambda peer: peer.send(b"220 mail.example ESMTP\r\n\r\n")
    assert isinstance(read(tabby.load("Llama"))[1], errors.Garbled)


@pytest.mark.parametrize("with_headers", [False, True])
def test_silence_without_even_a_ping_times_out(server, with_headers):
    def script(peer):
        if with_headers:
            peer.head()
        peer.wait_until_closed()

    server.script = script
    with TabbyClient(server.url, switch_timeout=0.2) as tabby:
        assert isinstance(read(tabby.load("Llama"))[1], errors.TimedOut)
    assert server.gone.wait(10)


def test_a_load_may_be_silent_for_longer_than_a_connection_may_take(server, tabby, monkeypatch):
    monkeypatch.setattr(loading, "CONNECT_SECONDS", 0.1)

    def script(peer):
        server.stop.wait(0.3)
        peer.head()
        server.stop.wait(0.3)
        peer.event(progress(1))
        peer.end()

    server.script = script
    assert read(tabby.load("Llama")) == ([LoadProgress("model", 1, 3, False)], None)


def test_abort_ends_a_load_that_only_pings(server, tabby):
    def script(peer):
        peer.head()
        peer.event(progress(1))
        peer.ping_until_closed()

    server.script = script
    stalled = errors.TimedOut("No progress")
    stream = tabby.load("Llama")
    with stream:
        assert next(stream).module == 1
        seen = []
        thread = read_into(seen, stream)
        stream.abort(stalled)
        stream.abort(errors.Busy("Too late"))
        thread.join(10)
    assert seen == [stalled]
    assert server.gone.wait(10)


def test_abort_ends_a_load_that_is_silent(server, tabby):
    def script(peer):
        peer.head()
        server.go.set()
        peer.wait_until_closed()

    server.script = script
    stalled, seen = errors.TimedOut("No progress"), []
    stream = tabby.load("Llama")
    thread = read_into(seen, stream)
    assert server.go.wait(10)
    stream.abort(stalled)
    thread.join(10)
    assert seen == [stalled]
    assert server.gone.wait(10)


def test_abort_ends_the_wait_for_late_headers(server):
    server.script = lambda peer: peer.wait_until_closed()
    stalled, seen = errors.TimedOut("No headers"), []
    with TabbyClient(server.url, switch_timeout=600) as tabby:
        stream = tabby.load("Llama")
        thread = read_into(seen, stream)
        assert server.received.wait(10)
        stream.abort(stalled)
        thread.join(10)
    assert not thread.is_alive()
    assert seen == [stalled]
    assert server.gone.wait(10)


def test_abort_before_the_start_sends_nothing(server, tabby):
    cancelled = errors.TimedOut("Cancelled")
    stream = tabby.load("Llama")
    stream.abort(cancelled)
    assert read(stream) == ([], cancelled)
    assert server.requests == []


def test_abort_hides_events_that_had_come(server, tabby):
    def script(peer):
        peer.head()
        peer.chunk(b'data: {"model_type":"model","module":1,"modules":3}\r\n\r\n' * 2)
        peer.wait_until_closed()

    server.script = script
    cancelled = errors.TimedOut("Cancelled")
    with tabby.load("Llama") as stream:
        assert next(stream).module == 1
        stream.abort(cancelled)
        with pytest.raises(errors.TimedOut) as caught:
            next(stream)
    assert caught.value is cancelled


def test_abort_after_the_end_does_nothing(server, tabby):
    server.script = script_of(progress(3, status="finished"))
    stream = tabby.load("Llama")
    assert read(stream)[1] is None
    stream.abort(errors.TimedOut("Too late"))


def test_late_headers_are_waited_for(server, tabby):
    def script(peer):
        server.go.wait(10)
        script_of(progress(3, status="finished"))(peer)

    server.script = script
    seen = []
    thread = read_into(seen, tabby.load("Llama"))
    assert server.received.wait(10)
    server.go.set()
    thread.join(10)
    assert seen == [LoadProgress("model", 3, 3, True)]


def test_silence_is_measured_from_the_last_event_and_pings_do_not_break_it(server, tabby, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(loading, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def script(peer):
        peer.head()
        peer.event(progress(1))
        server.go.wait(10)
        for _ in range(3):
            peer.chunk(b": ping - now\r\n\r\n")
        peer.end()

    server.script = script
    stream = tabby.load("Llama")
    clock.now = 105.0
    assert stream.silence() == 5.0
    with stream:
        assert next(stream).module == 1
        assert stream.silence() == 0.0
        clock.now = 125.0
        server.go.set()
        assert list(stream) == []
        assert stream.silence() == 20.0


def test_leaving_the_context_closes_the_connection(server, tabby):
    def script(peer):
        peer.head()
        peer.event(progress(1))
        peer.ping_until_closed()

    server.script = script
    with tabby.load("Llama") as stream:
        next(stream)
    assert server.gone.wait(10)


def test_nobody_listens_for_a_load(server):
    server.close()
    with TabbyClient(server.url, "admin-secret") as tabby:
        _, error = read(tabby.load("Llama"))
    assert isinstance(error, errors.Unreachable)
    assert "loading Llama" in str(error)
