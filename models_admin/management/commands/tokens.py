"""`manage.py tokens`: lists, makes and revokes API tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from models_admin.api import new_tokens, tokens
from models_admin.models import Token
from models_admin.ops import command

LONGEST_DAYS = 36_500


class Command(command.Command):
    help = "List API tokens, or make or revoke one. A token is shown when it is made, and never again."
    epilog = """\
examples:
  manage.py tokens
  manage.py tokens --user mara --json | jq -r '.tokens[] | select(.state == "active") | .name'
  manage.py tokens make mara --name "her editor" --scope chat --days 90
  TOKEN=$(manage.py tokens make deploy --name nightly --scope read --scope switch 2> /dev/null)
  manage.py tokens revoke 17

exit status:
  0    the tokens are listed, or it is done
  1    it is not: there is no such user or token, or a value was refused
  2    the command was not understood
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")
        parser.add_argument("--user", help="only those of this user")
        actions = parser.add_subparsers(dest="action", metavar="ACTION", help="make or revoke")
        making = actions.add_parser("make", help="make a token, and write it to standard output")
        making.add_argument("owner", metavar="USER")
        making.add_argument("--name", required=True, help="what it is for")
        making.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[scope.value for scope in tokens.Scope],
            help="what it may be used for; may be repeated",
        )
        making.add_argument("--days", type=int, help="how long it counts; default: until it is revoked")
        revoking = actions.add_parser("revoke", help="have a token refused from now on")
        revoking.add_argument("id", type=int)

    def act(self, options: dict[str, Any]) -> None:
        match options["action"]:
            case "make":
                self._make(options)
            case "revoke":
                self._revoke(options)
            case _:
                self._list(options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = Token.objects.select_related("user")
        if options["user"] is not None:
            rows = rows.filter(user=_user(options["user"]))
        found = [_facts(row) for row in rows]
        if options["json"]:
            self.stdout.write(json.dumps({"tokens": found}, indent=2))
            return
        for line in _lines(found):
            self.stdout.write(line)
        if not found:
            self.stderr.write("There are no tokens.")

    def _make(self, options: dict[str, Any]) -> None:
        user, name, days = (
            _user(options["owner"]),
            new_tokens.clean_name(options["name"]).strip(),
            options["days"],
        )
        if not user.is_active:
            raise CommandError(f"{user.get_username()} is not active: the token would be refused.")
        if not 0 < len(name) <= 100:
            raise CommandError("A token's name has 1 to 100 characters.")
        if days is not None and not 0 < days <= LONGEST_DAYS:
            raise CommandError(f"--days takes 1 to {LONGEST_DAYS}.")
        expires = None if days is None else timezone.now() + timedelta(days=days)
        row, token = tokens.make(user, name, options["scope"], expires)
        if options["json"]:
            self.stdout.write(json.dumps({**_facts(row), "token": token}, indent=2))
            return
        self.stderr.write(f"Token {row.pk}, “{name}”, of {user.get_username()}. It is shown this once:")
        self.stdout.write(token)

    def _revoke(self, options: dict[str, Any]) -> None:
        rows = Token.objects.filter(pk=options["id"])
        if (row := rows.select_related("user").first()) is None:
            raise CommandError(f"There is no token {options['id']}.")
        new = tokens.revoke(rows)
        row.refresh_from_db()
        if options["json"]:
            self.stdout.write(json.dumps(_facts(row), indent=2))
            return
        words = "is revoked: it is refused from now on" if new else "was revoked before"
        self.stdout.write(f"The token “{row}” of {row.user.get_username()} {words}.")


def _user(name: str) -> User:
    if (user := User.objects.filter(username=name).first()) is None:
        raise CommandError(f"There is no user “{name}”.")
    return user


def _facts(row: Token) -> dict[str, Any]:
    """Return what is known of a token, ready for JSON; `state` is active, expired or revoked."""
    expired = row.expires_at is not None and row.expires_at <= timezone.now()
    return {
        "id": row.pk,
        "name": row.name,
        "user": row.user.get_username(),
        "scopes": row.scopes,
        "state": "revoked" if row.revoked_at else "expired" if expired else "active",
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "last_used": row.last_used.isoformat() if row.last_used else None,
    }


def _lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each token, in columns."""
    cells = [
        [str(each["id"]), each["user"], each["name"], ",".join(each["scopes"]), each["state"]]
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = (zip(row, widths, strict=True) for row in cells)
    return ["  ".join(f"{cell:<{width}}" for cell, width in row).rstrip() for row in padded]
