"""A web process that is told to end puts its replies down, and another takes them up at once."""

from __future__ import annotations

import pytest
from paths.test_metrics import scrape, value
from support.people import Person
from support.system import web_process
from support.tabby import Tabby, until
from system.running import Gantry


def _cut(gantry: Gantry) -> float:
    """How many replies have been put back by the process that streamed them: those of the dead are not counted."""
    return value(scrape(gantry.url), "replies_total", outcome="cut")


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_it_puts_its_replies_back(tabby: Tabby, gantry: Gantry, alice: Person, server: str) -> None:
    conversation = alice.conversation()
    with web_process(gantry, server) as (web, url):
        with alice.page(conversation, url) as page:
            reply = page.answered(page.say("[[tokens=150 rate=30]]"), ("streaming",))
            page.until(lambda each: each.messages[reply["id"]]["text"], "the first words")
            before = _cut(gantry)
        web.end()
    until(lambda: _cut(gantry) > before, "the reply that was put back")
    with alice.page(conversation) as page:
        page.until(lambda each: each.messages[reply["id"]]["status"] == "complete", "the whole reply")
        assert page.messages[reply["id"]]["text"] == "".join(f" w{number}" for number in range(1, 151))
