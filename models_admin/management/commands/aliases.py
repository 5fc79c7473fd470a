"""`manage.py aliases`: lists, makes, changes and retires aliases of models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.aliases import changes
from models_admin.aliases.changes import AliasRefused, UnknownAlias, Wanted
from models_admin.aliases.facts import AliasFacts, describe, details
from models_admin.models import Alias
from models_admin.ops import command
from models_admin.servers import team


class Command(command.Command):
    help = "List the aliases of models, or make, change, retire and bring back one. Changing its model loads nothing."
    epilog = """\
examples:
  manage.py aliases
  manage.py aliases --json | jq -r '.aliases[] | select(.answers) | .name'
  manage.py aliases set coder --model Qwen2.5-Coder-14B --sampling temperature=0.2 top_p=0.9
  manage.py aliases set coder --system-prompt "Answer with code." --groups developers
  manage.py aliases set team --model ""
  manage.py aliases retire coder --successor team
  manage.py aliases restore coder

exit status:
  0    the aliases are listed, or it is done
  1    it is not: a name, a model, a group or a value was refused
  2    the command was not understood
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")
        actions = parser.add_subparsers(dest="action", metavar="ACTION", help="set, retire or restore")
        setting = actions.add_parser("set", help="make an alias, or change one")
        setting.add_argument("name")
        setting.add_argument("--model", help='what it stands for; "" for whatever is loaded')
        setting.add_argument("--system-prompt", metavar="TEXT", help='"" takes it away')
        setting.add_argument(
            "--sampling",
            nargs="*",
            metavar="NAME=VALUE",
            help="all of its sampling defaults; without any: none",
        )
        who = setting.add_mutually_exclusive_group()
        who.add_argument("--everybody", action="store_true", help="everybody may use it")
        who.add_argument(
            "--groups", nargs="*", metavar="GROUP", help="only members of these may, and superusers"
        )
        retiring = actions.add_parser("retire", help="have callers told to go elsewhere")
        retiring.add_argument("name")
        retiring.add_argument("--successor", default="", help="where to: another alias, or a model")
        restoring = actions.add_parser("restore", help="bring a retired alias back")
        restoring.add_argument("name")

    def act(self, options: dict[str, Any]) -> None:
        loaded = team.model()
        if options["action"] is None:
            self._list(describe(Alias.objects.prefetch_related("groups"), loaded), as_json=options["json"])
            return
        try:
            row = self._done(options)
        except AliasRefused as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(details(row, loaded), indent=2))
        else:
            self.stdout.write(next(_lines(describe([row], loaded))))

    def _done(self, options: dict[str, Any]) -> Alias:
        name = options["name"]
        match options["action"]:
            case "retire":
                return changes.retire(changes.find(name), options["successor"], None)
            case "restore":
                return changes.restore(changes.find(name), None)
        try:
            row = changes.find(name)
        except UnknownAlias:
            return changes.make(name, _wanted(options), None)
        return changes.change(row, _wanted(options), None)

    def _list(self, found: list[AliasFacts], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"aliases": found}, indent=2))
            return
        for line in _lines(found):
            self.stdout.write(line)
        if not found:
            self.stderr.write("There are no aliases.")


def _lines(found: list[AliasFacts]) -> Iterator[str]:
    """Yield aliases as lines for people; ✓ marks those that would be answered now."""
    width = max((len(each["name"]) for each in found), default=0)
    for each in found:
        what = each["model"] or "whatever is loaded"
        if each["retired_at"]:
            what += ", retired" + (f": use {each['successor']}" if each["successor"] else "")
        elif not each["answers"]:
            what += ", not loaded" if each["model"] else ": nothing"
        yield f"{'✓' if each['answers'] else ' '} {each['name']:<{width}}  {what}"


def _wanted(options: dict[str, Any]) -> Wanted:
    groups = () if options["everybody"] else options["groups"]
    return Wanted(
        model=options["model"],
        sampling=None if options["sampling"] is None else _sampling(options["sampling"]),
        system_prompt=options["system_prompt"],
        everybody=None if groups is None else options["everybody"],
        groups=groups,
    )


def _sampling(words: Sequence[str]) -> dict[str, Any]:
    """`["temperature=0.2"]` → the options, unchecked. Raises CommandError."""
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            given = ""
        if not given:
            raise CommandError(f"--sampling takes NAME=NUMBER, not {word[:60]!r}.", returncode=2)
    return found
