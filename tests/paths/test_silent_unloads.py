"""An unload that takes TabbyAPI longer than SWITCH_TIMEOUT: its switch goes back, whatever comes of the unload."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.people import Person
from support.system import QUICK
from support.tabby import Tabby

TIMEOUT = float(QUICK["SWITCH_TIMEOUT"])
SLOW = "slow-to-go-7B"


@pytest.fixture
def slow(tabby: Tabby) -> Callable[[float], None]:
    """A function: have a model loaded that takes so many times SWITCH_TIMEOUT to unload."""

    def load(times: float) -> None:
        model = {"name": SLOW, "modules": 2, "seconds_per_module": 0.01, "unload_seconds": times * TIMEOUT}
        tabby.state(add_models=[model], loaded=SLOW)

    return load


def test_the_model_is_loaded_again_when_a_slow_unload_is_over(
    slow: Callable[[float], None], tabby: Tabby, admin: Person
) -> None:
    slow(1.5)
    with admin.watch() as page:
        page.until(lambda each: each.backend["model"] == SLOW, "the model")
        number = admin.start_switch("beta-8B-Q5")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        last = page.backend["last"]
        assert (last["state"], last["error_kind"], last["result"]) == ("failed", "timed_out", SLOW)
        assert last["lines"][-1]["text"] == f"Rolled back: {SLOW} is loaded again"
        assert page.backend["model"] == SLOW
    assert tabby.state()["loaded"] == SLOW
    assert [each["outcome"] for each in tabby.log("/v1/model/load")] == ["completed"]
    rows = admin.call("GET", "/api/admin/switches").json()["switches"]
    assert [each["source"] for each in rows if each["id"] > number] == ["rollback"]
    # That unload is over: the next one is somebody else's doing.
    with admin.watch() as page:
        tabby.state(loaded=None)
        page.until(lambda each: each.backend["model"] == "", "the change")
        assert page.backend["last"]["source"] == "outside"


def test_an_unload_that_was_given_up_is_credited_to_its_switch(
    slow: Callable[[float], None], tabby: Tabby, admin: Person
) -> None:
    slow(3)
    with admin.watch() as page:
        page.until(lambda each: each.backend["model"] == SLOW, "the model")
        number = admin.start_switch("beta-8B-Q5")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        last = page.backend["last"]
        assert (last["state"], last["error_kind"], last["result"]) == ("failed", "timed_out", SLOW)
        assert "failed too" in last["lines"][-2]["text"]
        page.until(lambda each: each.backend["model"] == "", "the unload that was given up")
        last = page.backend["last"]
        assert (last["source"], last["target"], last["by"]) == ("late", "", "admin")
        words = f"{SLOW} was unloaded after all: switch {number} had asked for it, and had given it up"
        assert last["lines"][0]["text"] == words
    assert "unloaded after all" in admin.switch_row(number)["lines"][-1]["text"]
    # What somebody else unloads after that is that one's doing.
    assert admin.switch("alpha-7B").status_code == 200
    with admin.watch() as page:
        tabby.state(loaded=None)
        page.until(lambda each: each.backend["model"] == "", "the change")
        assert page.backend["last"]["source"] == "outside"
