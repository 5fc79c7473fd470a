"""Two TabbyAPIs: both answer, each with its model, and what one can no longer write goes on at the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.api_calls import Caller, words
from support.page import Page
from support.people import Person, add_user
from support.system import Several, manage, several
from support.tabby import until

pytestmark = pytest.mark.database
LONG = "[[tokens=150 rate=30]]"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    # No stream is taken for dead by its own silence here.
    long = {"REPLY_STALL_TIMEOUT": "600", "FIRST_TOKEN_TIMEOUT": "600"}
    with several(tmp_path_factory.mktemp("several"), "gpu1", "gpu2", **long) as running:
        yield running


@pytest.fixture(scope="module")
def alice(two: Several) -> Person:
    return add_user(two.admin, "alice")


@pytest.fixture(scope="module")
def caller(two: Several) -> Caller:
    return Caller(two.gantry.url, two.admin.token("chat"))


@pytest.fixture
def each_its_own(two: Several) -> None:
    """gpu1 runs beta-8B-Q5, which was chosen last, and gpu2 alpha-7B."""
    for name, model in (("gpu2", "alpha-7B"), ("gpu1", "beta-8B-Q5")):
        number = two.admin.start_switch(model, name)
        until(lambda number=number: two.admin.switch_row(number)["state"] == "succeeded", "the switch")


def begun(page: Page, text: str = LONG) -> str:
    """Send a message, and wait for the first words of its reply; return its client_id."""
    sent = page.say(text)
    reply = page.answered(sent, ("streaming",))
    page.until(lambda each: each.messages[reply["id"]]["text"], "the first words")
    return sent


def test_both_answer_and_a_switch_of_one_keeps_nobody_waiting(
    two: Several, alice: Person, caller: Caller
) -> None:
    first, second = two.tabbies.values()
    with alice.page() as one, alice.page() as other, alice.page() as third:
        asked = [(page, begun(page)) for page in (one, other)]
        assert [len(tabby.chats()) for tabby in (first, second)] == [1, 1], "each has one"
        number = two.admin.start_switch("beta-8B-Q5", "gpu1")
        until(lambda: two.admin.switch_row(number)["state"] != "queued", "the closed gate")
        with caller.stream("[[tokens=5 rate=0]]", model="alpha-7B") as wire:
            assert wire.rest() == words(1, 5)
        assert third.answered(third.say("[[echo]]quick"))["text"] == "quick"
        assert two.admin.switch_row(number)["finished_at"] is None, "they were answered meanwhile"
        for page, sent in asked:
            reply = page.answered(sent)
            assert (reply["status"], reply["text"], reply["model"]) == ("complete", words(1, 150), "alpha-7B")
            assert reply["handovers"] == [], "the same model has written all of it"
        until(lambda: two.admin.switch_row(number)["finished_at"], "the end of the switch")
    row = two.admin.switch_row(number)
    assert (row["state"], row["replies_cut"]) == ("succeeded", 1)
    assert [tabby.state()["loaded"] for tabby in (first, second)] == ["beta-8B-Q5", "alpha-7B"]


def test_each_model_is_answered_where_it_is_loaded(
    two: Several, each_its_own: None, alice: Person, caller: Caller
) -> None:
    with caller.client() as client:
        assert {each.id for each in client.models.list()} == {"alpha-7B", "beta-8B-Q5"}
    for model in ("alpha-7B", "beta-8B-Q5", ""):
        with caller.stream("[[tokens=5 rate=0]]", model=model) as wire:
            assert wire.rest() == words(1, 5)
        assert wire.models == [model or "beta-8B-Q5"], "the team's is what was chosen last"
    with alice.page() as page:
        assert page.answered(page.say("[[echo]]Hi"))["model"] == "beta-8B-Q5"


def test_how_fast_each_writes_is_told_for_people_and_programs(
    two: Several, each_its_own: None, alice: Person, caller: Caller
) -> None:
    def paces() -> list[float]:
        answer = two.admin.call("GET", "/api/admin/servers")
        return [each["tokens_per_second"] for each in answer.json()["servers"]]

    until(lambda: paces() == [0, 0], "that nobody writes")
    with alice.page() as page, caller.stream("[[tokens=4000 rate=20]]", model="alpha-7B") as wire:
        first = page.answered(begun(page, "[[tokens=4000 rate=40]]"), ("streaming",))
        wire.until("w5 ")
        until(lambda: all(paces()), "that both write")
        until(lambda: paces()[0] > 1.2 * paces()[1] > 6, "that the first writes faster")
        assert "tokens/s" in manage(two.gantry, "servers").stdout
        page.frame(type="stop", id=first["id"])
    until(lambda: paces() == [0, 0], "that nobody writes any more")
    assert caller.ask("[[tokens=20 rate=0]]", model="alpha-7B").status_code == 200
    until(lambda: paces()[1], "what was written in one piece")


def test_one_out_of_service_gets_none_until_it_is_put_back(
    two: Several, each_its_own: None, caller: Caller
) -> None:
    second = two.tabbies["gpu2"]
    with caller.stream("[[tokens=400 rate=30]]", model="alpha-7B") as wire:
        wire.until("w5 ")
        out = two.admin.call("POST", "/api/admin/servers/gpu2/out", {"let_go": True})
        assert (out.status_code, out.json()["in_service"]) == (200, False)
        assert wire.rest() == words(1, 400)
    assert wire.models == ["alpha-7B", "beta-8B-Q5"]
    before = len(second.chats())
    for _ in range(3):
        assert caller.ask("[[tokens=2 rate=0]]").status_code == 200
    assert len(second.chats()) == before
    answer = caller.ask("Hi", model="alpha-7B")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    done = manage(two.gantry, "servers", "in", "gpu2")
    assert (done.returncode, done.stdout[:6]) == (0, "✓ gpu2"), done.stderr
    with two.admin.watch() as page:
        page.until(lambda each: each.backend["servers"][1]["out_of_service_since"] is None, "it is back")
    assert caller.ask("[[tokens=2 rate=0]]", model="alpha-7B").json()["model"] == "alpha-7B"
    assert len(second.chats()) == before + 1


@pytest.fixture
def both_have_alpha(two: Several) -> None:
    """Both in service, with the same model loaded."""
    if two.tabbies["gpu1"].state()["loaded"] != "alpha-7B":
        until(lambda: two.admin.switch("alpha-7B").status_code == 200, "the first model on both")


@contextmanager
def asking(caller: Caller) -> Iterator[list[Future[requests.Response]]]:
    """Others ask all the while, some of them the server that is lost; the list holds their answers."""
    answers: list[Future[requests.Response]] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.wait(0.25):
            answers.append(people.submit(caller.ask, "[[tokens=2 rate=0]]"))

    with ThreadPoolExecutor(60) as people:
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield answers
        finally:
            enough.set()
            thread.join()


def state_of(page: Page, name: str) -> dict[str, Any]:
    """What a page shows of a server."""
    return next(each for each in page.backend["servers"] if each["name"] == name)


@pytest.mark.usefixtures("both_have_alpha")
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_what_one_had_begun_that_dies_or_hangs_goes_on_at_the_other(
    two: Several, alice: Person, caller: Caller, how: signal.Signals, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        page = stack.enter_context(alice.page())
        watched = stack.enter_context(two.admin.watch())
        watched.until(lambda each: all(e["state"] == "ready" for e in each.backend["servers"]), "both")
        sent = begun(page)
        wires = [stack.enter_context(caller.stream(LONG, n=1)) for _ in range(2)]
        for wire in wires:
            wire.until("w5 ")
        has = {name: len(tabby.state()["generations"]) for name, tabby in two.tabbies.items()}
        assert sum(has.values()) == 3
        lost = max(has, key=lambda name: has[name])
        two.processes[lost].send_signal(how)
        others = stack.enter_context(asking(caller))
        reply = page.answered(sent)
        assert (reply["status"], reply["text"]) == ("complete", words(1, 150))
        for wire in wires:
            assert wire.rest() == words(1, 150)
            assert (wire.models, wire.done) == (["alpha-7B"], True)
        assert {each.result().status_code for each in others} == {200}
        watched.until(lambda each: state_of(each, lost)["state"] == "unreachable", "the loss")
        assert watched.backend["state"] == "ready"
        if how == signal.SIGSTOP:
            two.processes[lost].send_signal(signal.SIGCONT)
        else:
            two.processes[lost].wait()
            two.begin_anew(lost, tmp_path)
        watched.until(lambda each: state_of(each, lost)["state"] == "ready", "its return")
