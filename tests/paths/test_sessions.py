"""A socket ends with the session that opened it, however that ends and in whichever process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from support.page import PATIENCE, Page
from support.people import PASSWORD, Person, add_user
from support.tabby import Tabby
from websockets.exceptions import ConnectionClosed


def code_at_the_end(page: Page) -> int:
    """Read until the server closes, however much it says before; return its code."""
    end = time.monotonic() + PATIENCE
    try:
        while (left := end - time.monotonic()) > 0:
            page.socket.recv(left)
    except TimeoutError:
        pass
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    pytest.fail(f"the server did not close the socket within {PATIENCE:g} s")


def signs_out(person: Person, admin: Person) -> None:
    assert person.post_form("/accounts/logout/").status_code == 302


def number_of(person: Person, admin: Person) -> str:
    """The user's number, as the admin site's list has it."""
    listed = admin.get(f"/admin/auth/user/?q={person.name}").text
    found = re.search(rf'/admin/auth/user/(\d+)/change/[^"]*">{person.name}</a>', listed)
    assert found
    return found[1]


def is_closed_out(person: Person, admin: Person) -> None:
    pk = number_of(person, admin)
    form = {"username": person.name, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    answer = admin.post_form(f"/admin/auth/user/{pk}/change/", **form)  # is_active is not ticked
    assert answer.status_code == 302, answer.text[:3000]


def gets_another_password(person: Person, admin: Person) -> None:
    pk = number_of(person, admin)
    new = {"password1": PASSWORD + "!", "password2": PASSWORD + "!", "usable_password": "true"}
    answer = admin.post_form(f"/admin/auth/user/{pk}/password/", **new)
    assert answer.status_code == 302, answer.text[:3000]


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize(
    ("name", "end"),
    [("leaver", signs_out), ("fired", is_closed_out), ("careless", gets_another_password)],
    ids=["signed out", "closed account", "new password"],
)
def test_sockets_end_with_their_session(
    alice: Person, admin: Person, second_url: str, name: str, end: Callable[[Person, Person], None]
) -> None:
    person = add_user(admin, name)
    conversation = person.conversation()
    with (
        person.page(conversation) as chat,
        person.page(conversation, second_url) as elsewhere,
        person.watch() as models,
        alice.page() as other,
    ):
        end(person, admin)
        assert [code_at_the_end(page) for page in (chat, elsewhere, models)] == [4401, 4401, 4401]
        assert other.answered(other.say("[[echo]]I stay"))["text"] == "I stay"


def test_another_session_of_the_same_person_goes_on(tabby: Tabby, admin: Person) -> None:
    one = add_user(admin, "twice")
    two = Person(one.url, "twice", PASSWORD)
    with one.page() as first, two.page() as second:
        one.post_form("/accounts/logout/")
        assert code_at_the_end(first) == 4401
        assert second.answered(second.say("[[echo]]still here"))["text"] == "still here"
