"""Aliases in calls: what a call becomes, and which names are listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest

from gateway import aliases, asked, models_list
from gateway.asked import CHAT, TEXT, Asked
from gateway.errors import Refused
from models_admin.aliases import book
from models_admin.aliases.book import KnownAlias
from models_admin.page_schema import Backend

USER, OTHER = 1, 2


def known(name: str, model: str = "", **more: Any) -> KnownAlias:
    facts = {"sampling": {}, "system_prompt": "", "users": None, "retired": "", **more}
    return KnownAlias(name=name, model=model, **facts)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What stands in the book, without a database."""
    rows = [
        known("coder", "alpha", sampling={"temperature": 0.1}, system_prompt="Be brief."),
        known("team"),
        known("secret", "alpha", users=frozenset({OTHER})),
        known("old", retired="The alias “old” was retired."),
    ]
    monkeypatch.setattr(book, "_read", lambda: {row.name: row for row in rows})
    book.book.forget()
    book.book.refresh()
    yield
    book.book.forget()


def read(endpoint: str = CHAT, **body: Any) -> Asked:
    needed: Any = {CHAT: {"messages": [{"role": "user", "content": "Hi"}]}, TEXT: {"prompt": "Once"}}[
        endpoint
    ]
    return asked.read(endpoint, orjson.dumps({**needed, **body}))


def state(model: str = "alpha", switch: Any = None) -> Backend:
    facts = {"model": model, "switch": switch, "loaded_at": None, "context": None}
    return cast("Backend", facts)


async def test_an_alias_brings_its_model_defaults_and_prompt() -> None:
    call = await aliases.applied(read(model="Coder", seed=7), USER)
    assert (call.model, call.alias) == ("alpha", "coder")
    assert call.body["temperature"] == 0.1
    assert call.body["seed"] == 7
    assert call.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_what_the_body_says_goes_first(role: str) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": role, "content": "Mine."}]
    call = await aliases.applied(read(model="coder", temperature=0.9, messages=messages), USER)
    assert call.body["temperature"] == 0.9
    assert [each["content"] for each in call.body["messages"]] == ["Hi", "Mine."]


async def test_a_text_completion_has_no_system_prompt() -> None:
    call = await aliases.applied(read(TEXT, model="coder"), USER)
    assert call.body["temperature"] == 0.1
    assert "messages" not in call.body


@pytest.mark.parametrize("messages", [7, None, "Hi", [7]])
async def test_odd_messages_are_left_to_tabbyapi(messages: Any) -> None:
    await aliases.applied(read(model="coder", messages=messages), USER)


@pytest.mark.parametrize("name", ["", "alpha", "secret"])
async def test_what_is_no_alias_of_this_user_stays_as_it_is(name: str) -> None:
    call = read(model=name)
    assert await aliases.applied(call, USER) is call


async def test_a_retired_alias_is_refused() -> None:
    with pytest.raises(Refused, match="was retired") as error:
        await aliases.applied(read(model="old"), USER)
    assert (error.value.status, error.value.code) == (404, "model_not_found")


async def ids(snapshot: Backend, user: int = USER) -> list[str]:
    return [each["id"] for each in models_list.listed(snapshot, await aliases.usable(user))]


async def test_those_that_would_be_answered_are_listed() -> None:
    assert await ids(state()) == ["alpha", "coder", "team"]
    assert await ids(state(), OTHER) == ["alpha", "coder", "team", "secret"]
    assert await ids(state("beta")) == ["beta", "team"]
    assert await ids(state("")) == []
    switch = {"target": "beta", "previous": "alpha"}
    assert await ids(state("alpha", switch)) == ["beta", "coder", "team"]


async def test_an_alias_goes_before_a_model_of_its_name() -> None:
    cards = models_list.listed(state("TEAM"), await aliases.usable(USER))
    assert [(each["id"], each["owned_by"], each["root"]) for each in cards] == [("team", "gantry", "TEAM")]


def test_a_refusal_names_alias_model_and_what_is_loaded() -> None:
    words = str(models_list.not_loaded("alpha", state("beta"), "coder"))
    assert words.startswith("The alias “coder” stands for “alpha”, which is not loaded. Loaded is beta:")
    assert "stands for what is loaded. No model is loaded." in str(
        models_list.not_loaded("", state(""), "team")
    )
