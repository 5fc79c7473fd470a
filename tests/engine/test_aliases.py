"""Aliases of models: what may be one, what is kept of its past, and who finds it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import DjangoCaptureOnCommitCallbacks

from models_admin import events
from models_admin.aliases import changes
from models_admin.aliases.book import Book, book
from models_admin.aliases.changes import AliasRefused, Taken, UnknownAlias, Wanted
from models_admin.aliases.sampling import filled, validated
from models_admin.models import Alias, AliasEvent, TabbyModel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _models() -> None:
    for name in ("Llama-8B", "Qwen-7B"):
        TabbyModel.objects.create(name=name)
    book.forget()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def read() -> Book:
    found = Book()
    found.refresh()
    return found


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "ä", "a\n"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(AliasRefused) as error:
        changes.make(name, Wanted(), None)
    assert error.value.field == "name"


@pytest.mark.parametrize("name", ["CODER", "llama-8b"])
def test_a_name_is_given_once_whatever_its_case(name: str) -> None:
    changes.make("coder", Wanted(), None)
    with pytest.raises(Taken):
        changes.make(name, Wanted(), None)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted(model="nothing"), "model"),
        (Wanted(system_prompt="x" * 20_001), "system_prompt"),
        (Wanted(sampling={"temperature": 5.1}), "sampling"),
        (Wanted(sampling={"top_k": 1.5}), "sampling"),
        (Wanted(sampling={"max_tokens": True}), "sampling"),
        (Wanted(sampling={"model": 1}), "sampling"),
        (Wanted(groups=["nobody"]), "groups"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(wanted: Wanted, field: str) -> None:
    with pytest.raises(AliasRefused) as error:
        changes.make("coder", wanted, None)
    assert error.value.field == field
    assert not Alias.objects.exists()


def test_what_it_stood_for_is_kept(ada: User) -> None:
    row = changes.make("coder", Wanted(model="Llama-8B"), ada.pk)
    changes.change(row, Wanted(system_prompt="Be brief."), ada.pk)  # which is no other model
    changes.change(row, Wanted(model="Qwen-7B"), None)
    changes.retire(row, "Llama-8B", ada.pk)
    changes.retire(row, "Llama-8B", ada.pk)
    changes.restore(row, ada.pk)
    past = row.changes.order_by("id").values_list("event", "by", "before", "after")
    assert list(past) == [
        (AliasEvent.MADE, ada.pk, "", "Llama-8B"),
        (AliasEvent.POINTED, None, "Llama-8B", "Qwen-7B"),
        (AliasEvent.RETIRED, ada.pk, "Qwen-7B", "Llama-8B"),
        (AliasEvent.RESTORED, ada.pk, "", "Qwen-7B"),
    ]
    row = changes.find("CODER")
    assert (row.system_prompt, row.model, row.retired_at, row.successor) == ("Be brief.", "Qwen-7B", None, "")


def test_a_model_that_has_gone_is_kept_but_not_chosen() -> None:
    row = changes.make("coder", Wanted(model="Llama-8B"), None)
    TabbyModel.objects.all().delete()
    changes.change(row, Wanted(model="Llama-8B", system_prompt="x"), None)
    with pytest.raises(AliasRefused):
        changes.change(row, Wanted(model="Qwen-7B"), None)


@pytest.mark.parametrize("successor", ["Coder", "gone", "old"])
def test_a_successor_answers(successor: str) -> None:
    row = changes.make("coder", Wanted(), None)
    changes.retire(changes.make("old", Wanted(), None), "", None)
    with pytest.raises(AliasRefused):
        changes.retire(row, successor, None)
    changes.make("new", Wanted(), None)
    assert changes.retire(row, "new", None).successor == "new"


def test_an_unknown_name_is_said_to_be() -> None:
    with pytest.raises(UnknownAlias, match="“coder”"):
        changes.find("coder")


def test_who_may_use_it(ada: User) -> None:
    bob, root = User.objects.create_user("bob"), User.objects.create_superuser("root")
    writers = Group.objects.create(name="writers")
    ada.groups.add(writers)
    changes.make("all", Wanted(), None)
    changes.make("some", Wanted(everybody=False, groups=["writers"]), None)
    changes.make("few", Wanted(everybody=False), None)
    known = read()
    found = {user: [each.name for each in known.of_user(user.pk)] for user in (ada, bob, root)}
    assert found == {ada: ["all", "some"], bob: ["all"], root: ["all", "few", "some"]}
    assert known.find("SOME", ada.pk)
    assert known.find("some", bob.pk) is None


def test_a_book_is_read_once_until_it_is_forgotten(django_assert_num_queries: Any) -> None:
    changes.make("coder", Wanted(), None)
    known = read()
    with django_assert_num_queries(0):
        known.refresh()
        assert known.find("coder", 1)
    changes.change(changes.find("coder"), Wanted(model="Qwen-7B"), None)
    known.forget()
    known.refresh()
    found = known.find("coder", 1)
    assert found
    assert found.model == "Qwen-7B"


def test_a_book_that_changes_while_it_is_read_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Book()

    def read_slowly() -> dict[str, Any]:
        known.forget()
        return {}

    monkeypatch.setattr("models_admin.aliases.book._read", read_slowly)
    known.refresh()
    assert not known.fresh


def test_each_change_is_told(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    told: list[str] = []
    monkeypatch.setattr(events, "send", lambda kind, **facts: told.append(kind))

    def done(step: Any) -> set[str]:
        told.clear()
        with django_capture_on_commit_callbacks(execute=True):
            step()
        return set(told)

    assert done(lambda: changes.make("coder", Wanted(), None)) == {"aliases"}
    row = changes.find("coder")
    assert done(lambda: changes.change(row, Wanted(system_prompt="x"), None)) == {"aliases"}
    assert done(lambda: changes.retire(row, "", None)) == {"aliases"}
    assert done(lambda: changes.restore(row, None)) == {"aliases"}
    assert done(lambda: changes.restore(row, None)) == set()


def test_a_retired_alias_says_where_to_go() -> None:
    row = changes.retire(changes.make("coder", Wanted(), None), "Qwen-7B", None)
    found = read().find("coder", 1)
    assert found
    assert row.retired_at
    date = f"{row.retired_at.day} {row.retired_at:%B %Y}"
    assert found.retired == f"The alias “coder” was retired on {date}. Use “Qwen-7B” instead."


def test_defaults_fill_what_is_not_said() -> None:
    defaults = validated({"temperature": 0.2, "max_tokens": 9, "top_p": 0.5, "min_p": None})
    assert filled({"temperature": 0, "max_completion_tokens": 3, "top_p": None}, defaults) == {
        "temperature": 0,
        "max_completion_tokens": 3,
        "top_p": 0.5,
    }
