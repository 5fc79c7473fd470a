"""The HTTP API of a running Gantry: following a switch, sending a request twice, and many who wait at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import requests
from support.people import Person
from support.tabby import Tabby, until

BETA = "beta-8B-Q5"


def follow(
    person: Person, number: int, url: str = "", **headers: str
) -> tuple[requests.Response, Iterator[dict[str, Any]]]:
    """Open a switch's events; return the response, and its events one by one: {"id", "data"}."""
    cookie = {"Cookie": f"session_id={person.cookie}"}
    response = requests.get(
        f"{url or person.url}/api/admin/switches/{number}/events",
        headers={**cookie, **headers},
        stream=True,
        timeout=30,
    )
    return response, _events(response)


def _events(response: requests.Response) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in response.iter_lines(chunk_size=1):
        name, _, value = line.decode().partition(": ")
        if line and name in ("id", "data"):
            event[name] = json.loads(value) if name == "data" else value
        elif not line and event:
            yield event
            event = {}


def test_a_switch_is_followed_from_either_process_until_it_ends(
    tabby: Tabby, admin: Person, second_url: str
) -> None:
    tabby.state(seconds_per_module={BETA: 0.05})
    number = admin.start_switch(BETA)
    for url in (admin.url, second_url):
        response, events = follow(admin, number, url)
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        seen = list(events)
        assert {each["data"]["id"] for each in seen} == {number}
        assert [each.get("id") for each in seen][-1] == "ended"
        assert seen[-1]["data"]["state"] == "succeeded"
        assert seen[-1]["data"] == admin.switch_row(number)
        if url == admin.url:
            states = [each["data"]["state"] for each in seen]
            assert "loading" in states
            percents = [each["data"]["percent"] for each in seen if each["data"]["state"] == "loading"]
            assert percents == sorted(percents)
            assert len(percents) > 3
    again, events = follow(admin, number, **{"Last-Event-ID": "ended"})
    assert (again.status_code, list(events)) == (204, [])


def test_nobody_follows_more_than_a_few_at_once_and_who_leaves_makes_room(
    tabby: Tabby, admin: Person
) -> None:
    tabby.state(seconds_per_module={BETA: 0.5})
    number = admin.start_switch(BETA)
    opened = []
    try:
        for _ in range(8):
            response, events = follow(admin, number)
            next(events)
            opened.append((response, events))
        refused, _ = follow(admin, number)
        assert refused.status_code == 429
        assert "Close one" in refused.json()["detail"]
        opened.pop()[0].close()

        def room() -> bool:
            with closing(follow(admin, number)[0]) as tried:
                return tried.status_code == 200

        until(room, "room for another stream")
    finally:
        for response, _ in opened:
            response.close()
        tabby.state(seconds_per_module={BETA: 0.0})


def revoke(person: Person, token: str) -> None:
    """Revoke the token of this name in the admin site."""
    page = person.get(f"/admin/models_admin/token/?q={token}").text
    pk = page.partition('name="_selected_action" value="')[2].partition('"')[0]
    assert person.post_form(f"/admin/models_admin/token/{pk}/revoke/").status_code == 302


def test_a_revoked_token_is_refused_from_then_on(tabby: Tabby, admin: Person) -> None:
    token = admin.token("read", "switch", name="short-lived")
    bearer = {"Authorization": f"Bearer {token}"}
    listed = requests.get(f"{admin.url}/api/admin/models", headers=bearer, timeout=10)
    assert listed.status_code == 200
    revoke(admin, "short-lived")
    refused = requests.get(f"{admin.url}/api/admin/models", headers=bearer, timeout=10)
    assert refused.status_code == 401
    assert "revoked" in refused.json()["detail"]


def test_a_revoked_token_follows_no_longer(tabby: Tabby, admin: Person) -> None:
    tabby.state(seconds_per_module={BETA: 0.2})  # an event five times a second, all the time
    token = admin.token("read", name="follower")
    number = admin.start_switch(BETA)
    bearer = {"Authorization": f"Bearer {token}"}
    url = f"{admin.url}/api/admin/switches/{number}/events"
    with closing(requests.get(url, headers=bearer, stream=True, timeout=30)) as response:
        events = _events(response)
        next(events)
        revoke(admin, "follower")
        last = list(events)[-1]
    assert "id" not in last, "the end was not for this reader"
    assert admin.switch_row(number)["finished_at"] is None
    admin.call("DELETE", f"/api/admin/switches/{number}")
    tabby.state(seconds_per_module={BETA: 0.0})


def test_of_many_requests_with_one_key_at_once_one_is_done(
    tabby: Tabby, admin: Person, second_url: str
) -> None:
    def ask(each: int) -> requests.Response:
        return requests.post(
            f"{(admin.url, second_url)[each % 2]}/api/admin/models/switch",
            json={"model_id": BETA},
            headers={"Cookie": f"session_id={admin.cookie}", "Idempotency-Key": "all-at-once"},
            timeout=60,
        )

    def newest() -> int:
        told = admin.call("GET", "/api/admin/switches?limit=1").json()["switches"]
        return told[0]["id"] if told else 0

    before = newest()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {each.status_code for each in answers} == {200}
    assert {each.json()["message"] for each in answers} == {f"Model switched to {BETA}"}
    assert newest() == before + 1
    # Long after, with another model loaded, it is still that one's answer, and nothing is done.
    assert admin.switch("alpha-7B").status_code == 200
    assert ask(0).json()["message"] == f"Model switched to {BETA}"
    assert tabby.state()["loaded"] == "alpha-7B"


def test_many_who_wait_for_a_switch_keep_nobody_else_waiting(tabby: Tabby, admin: Person) -> None:
    tabby.state(seconds_per_module={BETA: 0.3})
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(admin.switch, BETA) for _ in range(40)]
        with admin.watch() as page:
            page.until(lambda each: each.backend["switch"], "the switch")
        assert admin.get("/api/models/active").json()["state"] in ("switching", "ready")
        assert not any(each.done() for each in waiting)
        tabby.state(seconds_per_module={BETA: 0.0})
        assert {each.result().status_code for each in waiting} == {200}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, (200, 400, 404, 415, 422)),
        ({"Content-Type": "application/json; charset=utf-16"}, (400, 404, 415, 422)),
        ({"Prefer": "x" * 501}, (422,)),
    ],
)
def test_odd_headers_are_answered_in_json(
    tabby: Tabby, admin: Person, headers: dict[str, str], status: tuple[int, ...]
) -> None:
    cookie = {"Cookie": f"session_id={admin.cookie}"}
    answer = requests.post(
        f"{admin.url}/api/admin/models/switch",
        data=b'{"model_id": "nothing"}',
        headers={**cookie, **headers},
        timeout=30,
    )
    assert answer.status_code in status
    assert list(answer.json()) == ["detail"]
