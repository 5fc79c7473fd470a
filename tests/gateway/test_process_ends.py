"""A web process that ends lets calls end; one that is killed leaves nothing behind."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest
import requests
from support.api_calls import Caller, said, words
from support.system import web_process
from support.tabby import Tabby, until
from system.running import Gantry


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_stream_may_end_when_its_process_is_told_to(caller: Caller, gantry: Gantry, server: str) -> None:
    with web_process(gantry, server, DRAIN_TIMEOUT="60") as (web, url):
        third = Caller(url, caller.token)
        with third.stream("[[tokens=60 rate=30]]") as wire:
            wire.until("w3 ")
            web.popen.send_signal(signal.SIGTERM)
            assert wire.rest() == words(1, 60)
        assert wire.done
        web.popen.wait(60)


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_stream_whose_time_is_over_says_why(caller: Caller, gantry: Gantry, server: str) -> None:
    with web_process(gantry, server, DRAIN_TIMEOUT="0.5") as (web, url):
        third = Caller(url, caller.token)
        with third.stream("[[tokens=5000 rate=30]]") as wire:
            wire.until("w3 ")
            web.popen.send_signal(signal.SIGTERM)
            said = wire.rest()
        assert words(1, 5000).startswith(said)
        assert wire.events[-1]["error"]["code"] == "restarting"
        web.popen.wait(60)


def test_a_process_that_ends_takes_no_more_calls(caller: Caller, gantry: Gantry) -> None:
    """A connection that a program keeps is open still, and tells it to come back on another one."""
    with web_process(gantry, "daphne", DRAIN_TIMEOUT="60") as (web, url):
        third = Caller(url, caller.token)
        with third.stream("[[tokens=5000 rate=30]]") as wire, requests.Session() as kept:
            wire.until("w3 ")
            assert _asked(kept, third).status_code == 200
            web.popen.send_signal(signal.SIGTERM)
            until(lambda: _asked(kept, third).status_code == 503, "an end that has begun")
            with pytest.raises(requests.ConnectionError):
                third.ask("hello")
            wire.until("w20 ")
        web.popen.wait(60)


def _asked(kept: requests.Session, caller: Caller) -> requests.Response:
    """A call on a connection that is kept; once the process ends, it says so there."""
    body = {"messages": said("[[tokens=1]]")}
    answer = kept.post(f"{caller.url}/v1/chat/completions", json=body, headers=caller.headers, timeout=60)
    if answer.status_code != 200:
        assert answer.json()["error"]["code"] == "restarting"
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
    return answer


def test_the_calls_of_a_killed_process_leave_line_and_leases(
    caller: Caller, gantry: Gantry, tabby: Tabby
) -> None:
    """Four run, as many as a person may have, and one waits: then the next one has its turn all the same."""
    with web_process(gantry, "daphne") as (web, url), contextlib.ExitStack() as stack:
        third = Caller(url, caller.token)
        for _ in range(4):
            stack.enter_context(third.stream("[[tokens=5000 rate=20]]")).until("w1 ")
        waiting = threading.Thread(target=_ignore, args=(third,))
        waiting.start()
        until(lambda: caller.ask("hi", {"X-Gantry-Wait": "0"}).status_code == 503, "a full line")
        web.popen.kill()
        waiting.join()
        assert caller.ask("[[tokens=3]]").json()["choices"][0]["message"]["content"] == words(1, 3)


def _ignore(caller: Caller) -> None:
    with contextlib.suppress(OSError):
        caller.ask("hello")
