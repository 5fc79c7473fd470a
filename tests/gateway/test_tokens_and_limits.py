"""Who may call, how often, and how a refusal looks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
import requests
from openai import AuthenticationError, PermissionDeniedError, RateLimitError
from support.api_calls import Caller, said
from support.people import Person
from support.system import web_process
from support.tabby import Tabby, until
from support.usage import people_of
from system.running import Gantry


def _shape(answer: requests.Response) -> tuple[int, str]:
    """Status and code of an error in OpenAI's shape."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error["code"]


@pytest.mark.parametrize("path", ["models", "chat/completions", "nothing"])
def test_without_a_token_nothing_is_told(tabby: Tabby, admin: Person, path: str) -> None:
    assert _shape(requests.get(f"{admin.url}/v1/{path}", timeout=60)) == (401, "invalid_api_key")
    unknown = Caller(admin.url, "gantry_nobody_has_this")
    assert _shape(unknown.get(path)) == (401, "invalid_api_key")
    assert unknown.get(path).headers["www-authenticate"].startswith("Bearer")


def test_a_token_needs_the_scope(tabby: Tabby, admin: Person) -> None:
    reader = Caller(admin.url, admin.token("read", "switch", name="a reader"))
    with reader.client() as client, pytest.raises(PermissionDeniedError, match="scope “chat”"):
        client.chat.completions.create(model="", messages=said("hello"))  # type: ignore[arg-type]


def test_a_token_for_chat_may_do_nothing_else(caller: Caller, admin: Person) -> None:
    answer = requests.get(f"{admin.url}/api/admin/models", headers=caller.headers, timeout=60)
    assert answer.status_code == 403


def test_a_revoked_token_is_refused(tabby: Tabby, admin: Person) -> None:
    token = admin.token("chat", name="short-lived")
    listed = admin.get("/admin/models_admin/token/").text
    pk = re.findall(r"token/(\d+)/change/\">short-lived", listed)[0]
    assert admin.post_form(f"/admin/models_admin/token/{pk}/revoke/").status_code == 302
    with Caller(admin.url, token).client() as client, pytest.raises(AuthenticationError, match="revoked"):
        client.models.list()


@pytest.mark.parametrize("address", ["models?api_key={}", "models?key=x", "models/{}", "models?a=1&token={}"])
def test_a_token_in_the_address_is_refused(caller: Caller, address: str) -> None:
    answer = caller.get(address.format(caller.token))
    assert _shape(answer) == (401, "token_in_address")
    assert caller.token not in answer.text


@pytest.fixture(scope="module")
def strict(gantry: Gantry) -> Iterator[str]:
    """A web process with tight limits."""
    limits = {
        "GATEWAY_CALLS_PER_TOKEN": "2",
        "GATEWAY_REQUESTS_PER_MINUTE": "4",
        "GATEWAY_CALLS_AT_ONCE": "3",
        "GATEWAY_BODIES_MB": "3",
    }
    with web_process(gantry, "daphne", **limits) as (process, url):
        yield url
        process.end()


def test_the_calls_of_a_token_have_a_limit(tabby: Tabby, admin: Person, strict: str) -> None:
    one = Caller(strict, admin.token("chat", name="one"))
    with one.stream("[[tokens=500 rate=20]]") as first, one.stream("[[tokens=500 rate=20]]") as second:
        first.until("w1 ")
        second.until("w1 ")
        answer = one.ask("hello")
        assert _shape(answer) == (429, "rate_limit_exceeded")
        assert "2 open calls" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1


def test_the_requests_of_a_minute_have_a_limit(tabby: Tabby, admin: Person, strict: str) -> None:
    eager = Caller(strict, admin.token("chat", name="eager"))
    assert [eager.ask("[[tokens=1]]").status_code for _ in range(4)] == [200] * 4
    with eager.client() as client, pytest.raises(RateLimitError) as error:
        client.chat.completions.create(model="", messages=said("hello"))  # type: ignore[arg-type]
    assert 30 < int(error.value.response.headers["retry-after"]) <= 60
    other = Caller(strict, admin.token("chat", name="another"))
    assert other.ask("[[tokens=1]]").status_code == 200


def test_a_process_has_a_limit(tabby: Tabby, admin: Person, strict: str) -> None:
    with contextlib.ExitStack() as stack:
        for each in range(3):
            caller = Caller(strict, admin.token("chat", name=f"number {each}"))
            stack.enter_context(caller.stream("[[tokens=500 rate=20]]")).until("w1 ")
        answer = Caller(strict, admin.token("chat", name="too many")).ask("hello")
        assert _shape(answer) == (429, "too_many_calls")
        assert int(answer.headers["retry-after"]) >= 1


def test_the_limit_of_a_day_says_so_and_when_it_ends(tabby: Tabby, admin: Person, gantry: Gantry) -> None:
    with web_process(gantry, "daphne", GATEWAY_TOKENS_PER_DAY="5") as (process, url):
        thirsty = Caller(url, admin.token("chat", name="thirsty"))
        assert thirsty.ask("[[tokens=9]]").status_code == 200
        until(lambda: thirsty.ask("[[tokens=1]]").status_code == 429, "the end of the day's tokens")
        answer = thirsty.ask("hello")
        assert _shape(answer) == (429, "rate_limit_exceeded")
        assert "may use 5 a day" in answer.json()["error"]["message"]
        assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
        process.end()


def test_a_token_that_speaks_for_others_counts_for_them(
    tabby: Tabby, admin: Person, alice: Person, gantry: Gantry
) -> None:
    shared = Caller(admin.url, admin.token("chat", name="a chat page of others"))
    listed = admin.get("/admin/models_admin/token/").text
    pk = re.findall(r"token/(\d+)/change/\">a chat page of others", listed)[0]
    for_alice = {"X-OpenWebUI-User-Name": "alice", "X-OpenWebUI-User-Id": "1"}
    for_ida = {"X-OpenWebUI-User-Name": "Ida%20%C3%98"}
    shared.ask("[[tokens=1]]", for_alice)
    form = {"calls_at_once": "", "requests_per_minute": "", "tokens_per_day": "", "speaks_for_others": "on"}
    assert admin.post_form(f"/admin/models_admin/token/{pk}/change/", **form).status_code == 302
    for headers in (for_alice, for_ida, {}):
        assert shared.ask("[[tokens=1]]", headers).status_code == 200
    people = [("admin", "", 2), ("alice", "", 1), ("", "Ida Ø", 1)]
    until(lambda: sorted(people_of(gantry, int(pk))) == sorted(people), "usage by person")


def test_the_bodies_of_a_process_have_a_limit_together(tabby: Tabby, admin: Person, strict: str) -> None:
    large, small = "x" * 2 * 2**20, "x" * 2**19
    caller = Caller(strict, admin.token("chat", name="with pictures"))
    with caller.stream("[[tokens=500 rate=20]]", padding=large) as wire:
        wire.until("w1 ")
        answer = caller.ask("[[tokens=1]]", padding=large)
        assert _shape(answer) == (429, "too_many_calls")
        assert int(answer.headers["retry-after"]) >= 1
        assert caller.ask("[[tokens=1]]", padding=small).status_code == 200
    until(
        lambda: tabby.log("/v1/chat/completions")[0]["outcome"] == "disconnected", "the end of the large call"
    )
    assert caller.ask("[[tokens=1]]", padding=large).status_code == 200
