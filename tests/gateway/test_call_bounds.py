"""What is refused, clearly and without harm, on either server."""

from __future__ import annotations

import json

import pytest
import requests
from support.api_calls import Caller, said

CHATS = "chat/completions"


def _raw(caller: Caller, data: bytes, path: str = CHATS, **headers: str) -> requests.Response:
    own = {**caller.headers, **headers}
    return requests.post(f"{caller.url}/v1/{path}", data=data, headers=own, timeout=60)


def _code(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["x-request-id"]
    return answer.status_code, answer.json()["error"]["code"]


def test_a_body_may_be_larger_than_a_pages_and_has_a_bound(third: Caller) -> None:
    picture = "x" * (2 * 2**20)
    parts = [{"type": "text", "text": "[[tokens=2]]"}, {"type": "image_url", "image_url": {"url": picture}}]
    assert third.post(CHATS, {"messages": [{"role": "user", "content": parts}]}).status_code == 200
    announced = third.post(CHATS, {"messages": said("x" * (3 * 2**20))})
    assert _code(announced) == (413, "body_too_large")


def test_a_body_that_does_not_say_how_long_it_is_has_the_same_bound(third: Caller) -> None:
    pieces = (b"x" * 2**16 for _ in range(60))
    answer = requests.post(f"{third.url}/v1/{CHATS}", data=pieces, headers=third.headers, timeout=60)
    assert _code(answer) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b'{"messages": [}', "invalid_json"),
        (b'{"messages": NaN}', "invalid_json"),
        (b'{"messages": "\\ud800"}', "invalid_json"),
        (b"[" * 5000 + b"]" * 5000, "invalid_json"),
        (b"[]", "invalid_body"),
        (b'{"messages": ' + b"[" * 1000 + b"]" * 1000 + b"}", "invalid_body"),
        (b'{"messages": [], "max_tokens": 1e999}', "invalid_json"),
        (b'{"messages": [], "max_tokens": ' + b"9" * 10_000 + b"}", "invalid_json"),
        (b"{}", "missing_required_parameter"),
        (b'{"messages": [], "model": 5}', "invalid_type"),
        (b'{"messages": [], "stream": "yes"}', "invalid_type"),
        (b'{"messages": 5}', "rejected"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "n": "two"}', "rejected"),
    ],
)
def test_a_body_that_makes_no_sense(third: Caller, data: bytes, code: str) -> None:
    assert _code(_raw(third, data)) == (400, code)


@pytest.mark.parametrize(
    "path", ["", "responses", "audio/speech", "models/", "chat", "../admin/", "chat/completions/x"]
)
def test_an_unknown_endpoint_names_those_that_exist(third: Caller, path: str) -> None:
    prepared = requests.Request("POST", f"{third.url}/v1/x", headers=third.headers).prepare()
    prepared.url = f"{third.url}/v1/{path}"
    with requests.Session() as session:
        answer = session.send(prepared, timeout=60)
    if path == "models/":
        assert _code(answer) == (405, "method_not_allowed")
        return
    assert _code(answer) == (404, "unknown_endpoint")
    assert "POST /v1/chat/completions" in answer.json()["error"]["message"]


def test_a_wrong_method(third: Caller) -> None:
    answer = third.get(CHATS)
    assert _code(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert requests.head(f"{third.url}/v1/models", headers=third.headers, timeout=60).status_code == 200


def test_nothing_from_outside_gets_into_headers(third: Caller) -> None:
    answer = third.ask("hello", {"X-Request-ID": "mine-17"}, model="no\r\nsuch: model")
    assert _code(answer) == (404, "model_not_found")
    assert answer.headers["x-request-id"] == "mine-17"
    assert "such" not in answer.headers
    assert third.ask("hello", {"X-Request-ID": "a b"}, model="x").headers["x-request-id"] != "a b"


def test_a_body_cannot_say_more_than_a_body(third: Caller) -> None:
    """Keys that come twice are one, and the name of a model never reaches TabbyAPI."""
    data = b'{"messages": [{"role": "user", "content": "[[tokens=1]]"}], "model": "x", "model": "alpha-7B"}'
    assert _raw(third, data).json()["model"] == "alpha-7B"


def test_a_refusal_does_not_depend_on_the_body_that_comes_with_it(third: Caller) -> None:
    data = json.dumps({"messages": said("x" * 2**21)}).encode()
    assert _code(_raw(third, data, Authorization="Bearer nobody")) == (401, "invalid_api_key")
