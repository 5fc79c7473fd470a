"""Who may do what in a running Gantry: an operator by the ready group, staff without permissions, and everybody else."""

from __future__ import annotations

import re

import pytest
from support.page import Page
from support.people import Person, add_user
from support.tabby import Tabby, until

MODELS = "/admin/models_admin/tabbymodel/"
USERS = "/admin/auth/user/"


def made_staff(admin: Person, person: Person, *groups: str, staff: bool = True) -> Person:
    """Let `person` into the admin site (or not), and into these groups, by the admin site's own form."""
    found = re.search(rf'{USERS}(\d+)/change/">{person.name}<', admin.get(f"{USERS}?q={person.name}").text)
    assert found
    page = f"{USERS}{found[1]}/change/"
    form = admin.get(page).text
    choices = {
        name: value for value, name in re.findall(r'<option value="(\d+)"[^>]*>([^<]+)</option>', form)
    }
    fields = {
        "username": person.name,
        "is_active": "on",
        **({"is_staff": "on"} if staff else {}),
        "groups": [choices[group] for group in groups],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }
    assert admin.post_form(page, **fields).status_code == 302
    return person


@pytest.fixture(scope="module")
def operator(admin: Person) -> Person:
    """A member of the group that Gantry makes."""
    return made_staff(admin, add_user(admin, "olga"), "Model operators")


@pytest.fixture(scope="module")
def newcomer(admin: Person) -> Person:
    """Staff without any permission."""
    return made_staff(admin, add_user(admin, "nils"))


def test_an_operator_may_do_all_of_it(tabby: Tabby, operator: Person) -> None:
    page = operator.get(MODELS).text
    assert "✓ alpha-7B is loaded" in page
    for control in ("data-dialog", ">Refresh<", f"{MODELS}unload/"):
        assert control in page
    assert operator.switch("beta-8B-Q5").status_code == 200
    assert operator.post_form(f"{MODELS}unload/").status_code == 302
    with operator.watch() as watched:
        watched.until(lambda each: each.backend["state"] == "unloaded", "the unload")
        assert watched.backend["last"]["by"] == operator.name
    for path in ("/admin/models_admin/switch/", "/admin/models_admin/rule/", "/admin/models_admin/rule/add/"):
        assert operator.get(path).status_code == 200
    assert operator.get(USERS).status_code == 403


def test_staff_without_permissions_see_the_state_and_can_do_nothing(
    tabby: Tabby, admin: Person, newcomer: Person
) -> None:
    page = newcomer.get(MODELS).text
    assert "✓ alpha-7B is loaded" in page
    assert "beta-8B-Q5" in page
    for control in ("data-dialog", ">Refresh<", 'name="action"'):
        assert control not in page
    pk = re.search(rf"{MODELS}(\d+)/switch/", admin.get(MODELS).text)
    assert pk
    for path in (f"{pk[1]}/switch/", "unload/", "refresh/", "cancel/1/"):
        assert newcomer.post_form(MODELS + path).status_code in (403, 404)
    _refused_by_the_api(newcomer)
    with newcomer.watch() as watched:
        assert watched.backend["model"] == "alpha-7B"
    assert tabby.state()["loaded"] == "alpha-7B"


def test_who_only_chats_sees_the_state_on_the_socket_and_can_do_nothing(tabby: Tabby, alice: Person) -> None:
    assert alice.get(MODELS).status_code == 302
    _refused_by_the_api(alice)
    with alice.watch() as watched:
        for frame in ("switch", "unload", "cancel"):
            watched.frame(type=frame, model_id="beta-8B-Q5", target="beta-8B-Q5", id=1)
    with alice.watch() as watched:
        assert (watched.backend["model"], watched.backend["switch"]) == ("alpha-7B", None)
    assert tabby.state()["loaded"] == "alpha-7B"


def test_who_only_chats_is_told_why_and_not_by_whom(tabby: Tabby, admin: Person, alice: Person) -> None:
    with admin.watch() as whole, alice.watch() as told, alice.page() as chat:
        assert admin.switch("huge-70B").status_code == 502
        for page in (whole, told, chat):
            page.until(lambda each: (each.backend["last"] or {}).get("target") == "huge-70B", "the end")
        assert whole.backend["last"]["by"] == "admin"
        assert whole.backend["last"]["advice"]
        for page in (told, chat):
            for each in page.backends:
                assert not any(each["findings"])
                for switch in filter(None, (each["switch"], each["last"])):
                    assert (switch["by"], switch["rule"], switch["advice"]) == ("", "", "")
            assert "CUDA out of memory" in page.backend["last"]["error"]


def test_who_is_no_longer_staff_is_told_less_from_then_on(tabby: Tabby, admin: Person) -> None:
    former = made_staff(admin, add_user(admin, "frida"))
    with former.watch() as page, former.watch() as other:
        assert admin.switch("beta-8B-Q5").status_code == 200
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the switch")
        assert page.backend["last"]["by"] == "admin"
        made_staff(admin, former, staff=False)
        until(lambda: not _told_by_whom(admin, other), "a switch that is told to her without its asker")


def _told_by_whom(admin: Person, page: Page) -> str:
    number = admin.start_switch("beta-8B-Q5")  # it is loaded already: done at once
    page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end")
    return str(page.backend["last"]["by"])


def test_a_permission_that_is_taken_away_ends_at_once(tabby: Tabby, admin: Person) -> None:
    former = made_staff(admin, add_user(admin, "fred"), "Model operators")
    with former.watch() as watched:  # a page that stays open
        tabby.state(seconds_per_module={"beta-8B-Q5": 0.2})
        number = former.start_switch("beta-8B-Q5")
        made_staff(admin, former)
        for control in ("data-dialog", ">Refresh<", ">Cancel<"):
            assert control not in former.get(MODELS).text
        for path in ("unload/", "refresh/", f"cancel/{number}/"):
            assert former.post_form(MODELS + path).status_code == 403
        _refused_by_the_api(former)
        tabby.state(seconds_per_module={"beta-8B-Q5": 0.0})
        watched.until(lambda each: each.backend["model"] == "beta-8B-Q5", "what was begun")


def _refused_by_the_api(person: Person) -> None:
    assert person.switch("beta-8B-Q5").status_code == 403
    for method, path in (("POST", "models/unload"), ("DELETE", "switches/1"), ("GET", "switches/1")):
        answer = person.call(method, f"/api/admin/{path}")
        assert answer.status_code == 403, path
        assert "lacks the permission" in answer.json()["detail"]
