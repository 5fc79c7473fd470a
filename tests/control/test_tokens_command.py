"""`manage.py tokens`: what it writes, and its exit statuses."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from control_rows import MakeUser
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from models_admin.api import tokens
from models_admin.models import Token

pytestmark = pytest.mark.django_db


def run(*words: str) -> tuple[str, str]:
    """What the command writes, and what it says beside."""
    out, beside = StringIO(), StringIO()
    call_command("tokens", *words, stdout=out, stderr=beside)
    return out.getvalue(), beside.getvalue()


def test_making_writes_the_token_alone(make_user: MakeUser) -> None:
    make_user("mara")
    out, beside = run("make", "mara", "--name", "her editor", "--scope", "chat", "--days", "90")
    row = tokens.find(out.strip())
    assert (row.name, row.user.username, row.scopes) == ("her editor", "mara", ["chat"])
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)
    assert "this once" in beside
    assert out.strip() not in beside


def test_json_has_the_token_where_it_is_made_and_nowhere_else(make_user: MakeUser) -> None:
    make_user("mara")
    made = json.loads(
        run("--json", "make", "mara", "--name", "it", "--scope", "read", "--scope", "switch")[0]
    )
    assert tokens.find(made["token"]).pk == made["id"]
    assert (made["scopes"], made["expires_at"], made["state"]) == (["read", "switch"], None, "active")
    listed = run("--json")[0]
    assert made["token"] not in listed
    assert [each["name"] for each in json.loads(listed)["tokens"]] == ["it"]


def test_the_list_is_of_all_or_of_one_user(make_user: MakeUser) -> None:
    assert run() == ("", "There are no tokens.\n")
    for name in ("mara", "noor"):
        row, _ = tokens.make(make_user(name), f"of {name}", ["chat"])
    Token.objects.filter(pk=row.pk).update(expires_at=timezone.now())
    assert [line.split()[1:] for line in run()[0].splitlines()] == [
        ["noor", "of", "noor", "chat", "expired"],
        ["mara", "of", "mara", "chat", "active"],
    ]
    assert len(run("--user", "mara")[0].splitlines()) == 1


def test_revoking_is_at_once_and_can_be_repeated(make_user: MakeUser) -> None:
    row, token = tokens.make(make_user("mara"), "it", ["chat"])
    assert "refused from now on" in run("revoke", str(row.pk))[0]
    with pytest.raises(tokens.Invalid, match="revoked"):
        tokens.find(token)
    assert "before" in run("revoke", str(row.pk))[0]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["make", "nobody", "--name", "it", "--scope", "chat"], 1),
        (["make", "gone", "--name", "it", "--scope", "chat"], 1),
        (["make", "mara", "--name", " ", "--scope", "chat"], 1),
        (["make", "mara", "--name", "x" * 101, "--scope", "chat"], 1),
        (["make", "mara", "--name", "it", "--scope", "chat", "--days", "0"], 1),
        (["make", "mara", "--name", "it", "--scope", "everything"], 2),
        (["make", "mara", "--name", "it"], 2),
        (["revoke", "4711"], 1),
        (["revoke", "it"], 2),
        (["--user", "nobody"], 1),
    ],
)
def test_what_is_not_done_says_so(make_user: MakeUser, words: list[str], status: int) -> None:
    make_user("mara")
    make_user("gone", is_active=False)
    try:
        run(*words)
    except CommandError as error:
        assert error.returncode == status or (status == 2 and "Error: " in str(error))  # noqa: PT017
    else:
        pytest.fail("it was done")
    assert not Token.objects.exists()


def test_control_characters_in_names_are_shown_not_sent(make_user: MakeUser) -> None:
    make_user("mara")
    run("make", "mara", "--name", "a\x1b[2Jb", "--scope", "chat")
    assert "\x1b" not in run()[0]
