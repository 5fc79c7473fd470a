"""Pages of other sites, which call from within a browser: those that are named may, and no other."""

from __future__ import annotations

import pytest
import requests
from support.api_calls import PAGES, Caller, said

from gateway import cors

OTHER = "https://elsewhere.example.org"
ASKED = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


def _allowed(answer: requests.Response) -> dict[str, str]:
    found = {name.lower(): value for name, value in answer.headers.items()}
    return {
        name: value for name, value in found.items() if name.startswith("access-control") or name == "vary"
    }


def _preflight(
    caller: Caller, origin: str, path: str = "/v1/chat/completions", **more: str
) -> requests.Response:
    headers = {"Origin": origin, **ASKED, **more}
    return requests.options(f"{caller.url}{path}", headers=headers, timeout=60)


def test_a_browser_that_asks_first_is_answered_without_a_token(third: Caller) -> None:
    answer = _preflight(third, PAGES)
    assert (answer.status_code, answer.content) == (200, b"")
    assert _allowed(answer) == {
        "access-control-allow-origin": PAGES,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": ASKED["Access-Control-Request-Headers"],
        "access-control-expose-headers": "retry-after, x-request-id",
        "access-control-max-age": "600",
        "vary": "Origin, Access-Control-Request-Headers",
    }
    odd = _preflight(third, PAGES, **{"Access-Control-Request-Headers": "a" * 2000})
    assert odd.headers["access-control-allow-headers"] == cors.USUAL


def test_other_pages_are_told_nothing(third: Caller, caller: Caller) -> None:
    for origin in (OTHER, "null", PAGES.upper(), f"{PAGES}.evil.example"):
        answer = _preflight(third, origin)
        assert (answer.status_code, _allowed(answer)) == (401, {"vary": "Origin"})
    assert _allowed(_preflight(third, PAGES, "/api/admin/models")).keys() <= {"vary"}
    nobody = _preflight(caller, PAGES)
    assert (nobody.status_code, _allowed(nobody)) == (401, {})


def test_each_answer_can_be_read_by_a_page_that_is_named(third: Caller) -> None:
    shown = {
        "access-control-allow-origin": PAGES,
        "access-control-expose-headers": "retry-after, x-request-id",
        "vary": "Origin",
    }
    origin = {"Origin": PAGES}
    assert _allowed(third.ask("[[tokens=1]]", origin)) == shown
    with third.stream("[[tokens=1]]", origin) as wire:
        assert _allowed(wire.response) == shown
    nobody = Caller(third.url, "gantry_nobody")
    assert _allowed(nobody.ask("hello", origin)) == shown
    refused = third.post("chat/completions", {"messages": said("x" * (3 * 2**20))}, origin)
    assert refused.status_code == 413
    assert shown.items() <= _allowed(refused).items()
    assert _allowed(third.ask("[[tokens=1]]", {"Origin": OTHER})) == {"vary": "Origin"}


@pytest.mark.parametrize(
    "origin", ["https://a.example", "http://[::1]:3000", "app://obsidian.md", "chrome-extension://abc"]
)
def test_origins_that_may_be_named(origin: str) -> None:
    assert cors.ORIGIN.fullmatch(origin)


@pytest.mark.parametrize(
    "origin", ["*", "null", "a.example", "https://a.example/", "https://*.example", "HTTPS://a.example"]
)
def test_what_is_no_origin(origin: str) -> None:
    assert not cors.ORIGIN.fullmatch(origin)
