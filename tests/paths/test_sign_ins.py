"""Sign-ins are throttled by all web processes together, by the address of the person and not of the proxy."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from paths.test_doctor import manage
from requests.adapters import HTTPAdapter
from support.people import PASSWORD, Person
from system.running import Gantry


class From(HTTPAdapter):
    """Connects from another of this machine's addresses."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **more)


def tries(
    url: str, name: str, password: str, address: str, page: str = "/accounts/login/", **headers: str
) -> int:
    """Try to sign in from `address`; return the status."""
    with requests.Session() as session:
        session.mount("http://", From(address))
        session.get(url + page, timeout=20).raise_for_status()
        form = {
            "username": name,
            "password": password,
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        answer = session.post(url + page, form, headers=headers, timeout=20, allow_redirects=False)
        return answer.status_code


def test_two_processes_count_together_and_people_elsewhere_are_let_in(
    gantry: Gantry, second_url: str, alice: Person, bob: Person
) -> None:
    one, two = alice.url, second_url
    for url, page in ((one, "/accounts/login/"), (two, "/admin/login/"), (two, "/accounts/login/")):
        assert tries(url, "alice", "wrong", "127.0.0.21", page) == 200
    for url in (one, two):
        assert tries(url, "alice", PASSWORD, "127.0.0.21") == 429
    assert tries(one, "alice", PASSWORD, "127.0.0.22") == 302
    assert tries(one, "bob", PASSWORD, "127.0.0.21") == 302, "a colleague at the same address"
    assert alice.get("/").status_code == 200, "who is signed in is not disturbed"
    manage(gantry, "allow_sign_in", "--address", "127.0.0.21")
    assert tries(one, "alice", PASSWORD, "127.0.0.21") == 302


@pytest.mark.parametrize("proxy", [True, False], ids=["trusted proxy", "anybody"])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(alice: Person, proxy: bool) -> None:
    address, name = ("127.0.0.9", "nobody") if proxy else ("127.0.0.23", "nobody")

    def knock(forwarded: str) -> int:
        return tries(alice.url, name, "wrong", address, **{"X-Forwarded-For": forwarded})

    assert [knock("198.51.100.1") for _ in range(4)] == [200, 200, 200, 429]
    assert knock("198.51.100.2") == (200 if proxy else 429)
    assert knock("198.51.100.1, 198.51.100.3") == (200 if proxy else 429)
