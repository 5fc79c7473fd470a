"""A web process that ends lets calls end; one that is killed leaves nothing behind."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest
from support.api_calls import Caller, words
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
