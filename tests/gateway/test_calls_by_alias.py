"""Programs that call a model by an alias, through a running Gantry: what they are given, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError
from support.api_calls import Caller, said, words
from support.people import Person
from support.system import manage
from support.tabby import Tabby, until
from system.running import Gantry

ALPHA, BETA = "alpha-7B", "beta-8B-Q5"
ALIASES = "/api/admin/aliases"


@pytest.fixture(scope="module")
def others_token(alice: Person, gantry: Gantry) -> str:
    """A token of somebody who is in no group."""
    manage(gantry, "shell", "--no-imports", "-c", STAFF.format(True)).check_returncode()
    return alice.token("chat", name="hers")


STAFF = (
    "from django.contrib.auth.models import User; User.objects.filter(username='alice').update(is_staff={})"
)
NO_ALIASES = "from models_admin.models import Alias; Alias.objects.all().delete()"


@pytest.fixture(scope="module", autouse=True)
def _no_aliases(gantry: Gantry) -> Iterator[None]:
    yield
    for script in (NO_ALIASES, STAFF.format(False)):
        manage(gantry, "shell", "--no-imports", "-c", script).check_returncode()


def make(admin: Person, name: str, **more: Any) -> None:
    answer = admin.call("POST", ALIASES, {"name": name, **more})
    assert answer.status_code == 201, answer.text


def change(admin: Person, name: str, **more: Any) -> None:
    answer = admin.call("PATCH", f"{ALIASES}/{name}", more)
    assert answer.status_code == 200, answer.text


def names(caller: Caller) -> set[str]:
    return {each["id"] for each in caller.get("models").json()["data"]}


def test_an_alias_from_its_beginning_to_its_end(
    caller: Caller, admin: Person, tabby: Tabby, second_url: str
) -> None:
    elsewhere = Caller(second_url, caller.token)
    make(admin, "coder", model=ALPHA, sampling={"temperature": 0.2}, system_prompt="Be brief.")
    make(admin, "team")
    for each in (caller, elsewhere):
        until(lambda each=each: names(each) == {ALPHA, "coder", "team"}, "the aliases in the list")
    with caller.client() as client:
        card = client.models.retrieve("coder")
        assert (card.id, card.owned_by, card.root) == ("coder", "gantry", ALPHA)  # type: ignore[attr-defined]
        answer = client.chat.completions.create(model="coder", messages=said("[[tokens=3]]"))  # type: ignore[arg-type]
    assert answer.model == ALPHA
    assert answer.choices[0].message.content == words(1, 3)
    sent = tabby.log("/v1/chat/completions")[-1]["body"]
    assert sent["temperature"] == 0.2
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "model" not in sent

    change(admin, "coder", model=BETA)
    for each in (caller, elsewhere):
        until(lambda each=each: names(each) == {ALPHA, "team"}, "the change in each process")
        refusal = each.ask("[[tokens=3]]", model="coder")
        assert refusal.status_code == 404
        assert refusal.json()["error"]["message"].startswith(
            f"The alias “coder” stands for “{BETA}”, which is not loaded. Loaded is {ALPHA}:"
        )
    assert elsewhere.get("models/coder").status_code == 404

    number = admin.start_switch(BETA)
    until(lambda: admin.switch_row(number)["state"] != "queued", "the gate to close")
    until(lambda: "coder" in names(caller), "the switch in the web process")
    with caller.stream("[[tokens=3]]", model="coder") as wire:  # which the switch is about to bring
        assert wire.rest() == words(1, 3)
        assert wire.models == [BETA]
    assert admin.switch_row(number)["state"] == "succeeded"

    assert admin.call("DELETE", f"{ALIASES}/coder?successor=team").status_code == 200
    until(lambda: "coder" not in names(caller), "the end of the alias")
    with caller.client() as client, pytest.raises(NotFoundError, match="Use “team” instead") as error:
        client.chat.completions.create(model="coder", messages=said("hello"))  # type: ignore[arg-type]
    assert error.value.code == "model_not_found"
    assert "Use “team” instead" in caller.get("models/coder").text
    assert caller.ask("[[tokens=2]]", model="TEAM").json()["model"] == BETA


def test_to_others_it_does_not_exist(caller: Caller, admin: Person, others_token: str) -> None:
    make(admin, "few", model=ALPHA, groups=[])
    until(lambda: "few" in names(caller), "the alias of a superuser")
    other = Caller(admin.url, others_token)
    assert "few" not in names(other)
    refusal = other.ask("hello", model="few")
    assert refusal.status_code == 404
    assert "alias" not in refusal.json()["error"]["message"]
    change(admin, "few", groups=None)
    until(lambda: "few" in names(other), "the alias of everybody")
    assert other.ask("[[tokens=2]]", model="few").json()["model"] == ALPHA
