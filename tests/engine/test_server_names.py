"""Servers by name: what the settings may say, which rows they get, and what each of several has."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.checks import run_checks
from support.servers import SERVER

from gantry_site import logs
from models_admin.models import Presence, Server, Switch, TabbyModel
from models_admin.ops import diagnostics, lookers, metrics
from models_admin.servers import addresses, connections, known, state_row
from models_admin.switching import observation, transitions
from models_admin.tabby.errors import Unreachable
from models_admin.tabby.wire import ModelCard

TWO = "gpu1=http://10.0.0.5:5000/,gpu2=http://10.0.0.6:5000"


@pytest.fixture
def two(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY = TWO, "for-all"
    first, second = known.all_servers()
    return first, second


def problems(settings: Any, host: str = TWO, admin_key: str = "", api_key: str = "") -> list[str]:
    settings.TABBY_HOST, settings.TABBY_ADMIN_KEY, settings.TABBY_API_KEY = host, admin_key, api_key
    settings.TABBY_SANDBOX = False
    return [f"{each.id} {each.msg}" for each in run_checks() if "W001" not in str(each.id)]


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("http://tabby:5000", []),
        ("http://tabby:5000/?a=b", []),
        ("gpu1=http://10.0.0.5:5000", []),
        (TWO, []),
        ("ftp://x", ["gantry.E001 TABBY_HOST is not an http address"]),
        (
            "http://a:1,http://b:1",
            [
                "gantry.E001 TABBY_HOST is not an http address",
                "gantry.E005 TABBY_HOST has an address without a name (http://a:1)",
                "gantry.E005 TABBY_HOST has an address without a name (http://b:1)",
            ],
        ),
        (
            "gpu1=http://a:1,=http://b:1",
            ["gantry.E005 TABBY_HOST has an address without a name (http://b:1)"],
        ),
        ("a=http://a:1,a=http://b:1", ["gantry.E005 TABBY_HOST names a twice"]),
        ("a=http://h:1/,b=http://u:p@H:1/v1", ["gantry.E005 a and b in TABBY_HOST have the same address"]),
        ("a=http://a:1,b=tabby", ["gantry.E001 TABBY_HOST gives b no http address"]),
        (
            "a=http://a:1,Büro 2=http://b:1",
            ["gantry.E005 “Büro 2” in TABBY_HOST is no name: use up to 32 of a–z, 0–9 and -, such as gpu1"],
        ),
    ],
)
def test_addresses_that_cannot_be_used_are_named(host: str, found: list[str], settings: Any) -> None:
    assert problems(settings, host) == found
    told = [each.title for each in diagnostics.of_settings()]
    assert told == [words.removeprefix("gantry.E005 ") for words in found if "E005" in words]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("secret", []),
        ("base64key==", []),
        ("gpu1=one,gpu2=two", []),
        ("gpu1=one", []),
        (
            "gpu1=one,gpu3=two",
            ["gantry.E005 TABBY_ADMIN_KEY has a key for “gpu3”, which TABBY_HOST does not name"],
        ),
        ("gpu1=one,gpu1=two", ["gantry.E005 TABBY_ADMIN_KEY names gpu1 twice"]),
        ("gpu1=one,two", ["gantry.E005 TABBY_ADMIN_KEY has a key without a name"]),
    ],
)
def test_keys_go_to_the_servers_that_are_named(key: str, found: list[str], settings: Any) -> None:
    assert problems(settings, TWO, key) == found
    shown = [str(each) for each in addresses.servers().values()]
    assert not any("one" in each or "secret" in each for each in shown)


def test_each_has_its_own_key_or_the_one_for_all(settings: Any) -> None:
    problems(settings, TWO, "gpu1=first-key,gpu2=second-key", "for-chat")
    assert [(each.admin_key, each.api_key) for each in addresses.servers().values()] == [
        ("first-key", "for-chat"), ("second-key", "for-chat"),
    ]  # fmt: skip
    logs.secrets.cache_clear()
    try:
        assert {"first-key", "second-key", "for-chat"} <= set(logs.secrets())
    finally:
        logs.secrets.cache_clear()


def test_the_row_of_the_time_with_one_address_becomes_the_first_named_one(settings: Any, db: None) -> None:
    settings.TABBY_HOST = "http://10.0.0.5:5000"
    assert (known.all_servers(), known.several(), known.name(SERVER)) == ([SERVER], False, "")
    state_row.set_loaded(SERVER, ModelCard("old", {}))
    settings.TABBY_HOST = TWO
    assert [(row.name, row.model) for row in map(state_row.row, known.all_servers())] == [
        ("gpu1", "old"), ("gpu2", ""),
    ]  # fmt: skip
    assert (known.default(), known.find("gpu1"), known.several()) == (SERVER, SERVER, True)
    assert [connections.access(each).base for each in known.all_servers()] == [
        "http://10.0.0.5:5000", "http://10.0.0.6:5000",
    ]  # fmt: skip


def test_one_that_is_no_longer_named_keeps_its_history_and_comes_back(
    two: tuple[int, int], settings: Any
) -> None:
    first, second = two
    Switch.objects.create(server_id=second, target="new", source="api", drain_seconds=0, state="succeeded")
    settings.TABBY_HOST = "gpu3=http://10.0.0.7:5000,gpu1=http://10.0.0.5:5000"
    third, *others = known.all_servers()
    assert others == [first]
    assert third not in two
    assert (known.find("gpu2"), known.name(second)) == (None, "")
    settings.TABBY_HOST = TWO
    assert known.all_servers() == [first, second]
    assert Switch.objects.get().server_id == second
    settings.TABBY_HOST = "http://10.0.0.5:5000"
    assert known.all_servers() == [first]
    assert Server.objects.count() == 3


class Folder:
    """A TabbyAPI that has these models."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def models(self) -> list[str]:
        return self.names

    def current(self) -> None:
        return None

    def permission(self) -> str:
        return "admin"


def refresh(server: int, *names: str) -> observation.Refreshed:
    folder: Any = Folder(*names)
    return observation.refresh(server, folder)


def live() -> set[str]:
    return set(TabbyModel.objects.filter(vanished_at=None).values_list("name", flat=True))


def test_a_model_has_vanished_when_no_server_has_it(two: tuple[int, int]) -> None:
    first, second = two
    TabbyModel.objects.create(name="of-before")
    assert refresh(second, "both", "two").vanished == []
    assert live() == {"both", "two", "of-before"}, "the first was not asked yet"
    assert refresh(first, "both", "one").vanished == ["of-before"]
    assert refresh(first, "one").vanished == []
    assert live() == {"both", "one", "two"}
    found = refresh(second, "two")
    assert (found.added, found.vanished) == ([], ["both"])
    assert refresh(first, "one", "both").added == ["both"]
    row = Presence.objects.get(server=first, model="both")
    assert (row.vanished_at, row.first_seen < row.last_seen) == (None, True)


def test_what_only_one_that_is_no_longer_named_had_vanishes(two: tuple[int, int], settings: Any) -> None:
    first, second = two
    refresh(first, "one")
    refresh(second, "two")
    settings.TABBY_HOST = "gpu1=http://10.0.0.5:5000,gpu3=http://10.0.0.7:5000"
    known.all_servers()
    assert refresh(first, "one").vanished == ["two"]


def test_a_server_is_asked_only_for_what_it_has(two: tuple[int, int]) -> None:
    first, second = two
    refresh(first, "one")
    refresh(second, "two")
    assert transitions.request(second, "two", source="api").server_id == second  # type: ignore[arg-type]
    with pytest.raises(transitions.UnknownModel, match=r"“two” is in TabbyAPI's catalog on gpu1\.$"):
        transitions.request(first, "two", source="api")  # type: ignore[arg-type]
    state_row.stored(first).update(catalog_at=None)
    with pytest.raises(transitions.UnknownModel, match="It has not been read yet: ask again in some seconds"):
        transitions.request(first, "two", source="api")  # type: ignore[arg-type]
    state_row.set_trouble(first, Unreachable("It cannot be reached"))
    with pytest.raises(transitions.UnknownModel, match="It cannot be read: It cannot be reached"):
        transitions.request(first, "two", source="api")  # type: ignore[arg-type]


def test_metrics_of_several_have_their_names(two: tuple[int, int]) -> None:
    state_row.set_loaded(two[1], ModelCard("m", {}))
    text = metrics.exposition()[0].decode()
    assert 'gantry_server_up{server="gpu1"} 0.0' in text
    assert 'gantry_server_up{server="gpu2"} 1.0' in text
    assert 'gantry_server_replies_in_flight{server="gpu2"} 0.0' in text


def test_one_that_hangs_delays_no_other(two: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # The threads see no rows of this test's transaction.
    monkeypatch.setattr(known, "all_servers", lambda: list(two))
    hangs, goes_on = threading.Event(), threading.Event()
    looked: list[threading.Event] = []

    def step(server: int) -> None:
        if server == two[0]:
            hangs.set()
            goes_on.wait(60)
        else:
            looked[-1].set()

    for _ in range(3):
        looked.append(threading.Event())
        lookers.look("test", step)
        assert hangs.wait(30)
        assert looked[-1].wait(30)
        lookers._running["test", two[1]].join()
    hung = lookers._running["test", two[0]]
    goes_on.set()
    hung.join()
