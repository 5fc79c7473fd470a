"""`manage.py servers`: lists TabbyAPI servers, takes one of several out of service, and puts it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.ops import command
from models_admin.presentation import server_facts
from models_admin.presentation.server_facts import ServerFacts
from models_admin.servers import known
from models_admin.switching import service


class Command(command.Command):
    help = "List the TabbyAPI servers, or have one of several given no replies for a while. ✓ marks those that can answer."
    epilog = """\
examples:
  manage.py servers
  manage.py servers --json | jq -r '.servers[] | select(.in_service | not) | .name'
  manage.py servers out gpu2
  manage.py servers out gpu2 --let-go
  manage.py servers in gpu2

exit status:
  0    the servers are listed, or it is done (also where it was so already)
  1    it is not: there is no such server, or nobody would get a reply without it
  2    the command was not understood
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")
        actions = parser.add_subparsers(dest="action", metavar="ACTION", help="out or in")
        out = actions.add_parser("out", help="give a server no more replies; those in flight finish there")
        out.add_argument("name")
        out.add_argument(
            "--let-go", action="store_true", help="replies in flight go on at other servers at once"
        )
        out.add_argument("--force", action="store_true", help="also the last server that answers")
        back = actions.add_parser("in", help="give a server replies again")
        back.add_argument("name")

    def act(self, options: dict[str, Any]) -> None:
        if options["action"] is None:
            found = server_facts.describe_all()
            if options["json"]:
                self.stdout.write(json.dumps({"servers": found}, indent=2))
                return
        else:
            found = [self._done(options)]
            if options["json"]:
                self.stdout.write(json.dumps(found[0], indent=2))
                return
        for line in _lines(found):
            self.stdout.write(line)

    def _done(self, options: dict[str, Any]) -> ServerFacts:
        server = known.find(options["name"])
        if server is None:
            raise CommandError(known.none_of(options["name"]))
        if options["action"] == "in":
            service.put_back(server)
        else:
            try:
                service.take_out(server, forced=options["force"], let_go=options["let_go"])
            except service.LastInService as error:
                raise CommandError(f"{error} With --force it is taken out all the same.") from None
        return server_facts.describe(server)


def _lines(found: list[ServerFacts]) -> Iterator[str]:
    """Yield servers as lines for people, below each what is wrong with it."""
    names = [each["name"] or "TabbyAPI" for each in found]
    width, wide = max(map(len, names)), max(len(each["address"]) for each in found)
    for name, each in zip(names, found, strict=True):
        answers = each["state"] == "ready" and each["in_service"]
        yield f"{'✓' if answers else ' '} {name:<{width}}  {each['address']:<{wide}}  {', '.join(_facts(each))}"
        if each["error"]:
            yield f"  {'':<{width}}  {each['error']}"


def _facts(server: ServerFacts) -> Iterator[str]:
    switch = server["switch"]
    if server["state"] == "unreachable":
        yield "out of reach"
    else:
        yield server["model"] or "no model loaded"
    if not server["in_service"]:
        yield "out of service"
    if server["replying"]:
        yield "1 reply in flight" if server["replying"] == 1 else f"{server['replying']} replies in flight"
    if server["tokens_per_second"]:
        yield f"{server['tokens_per_second']:,.1f} tokens/s"
    if switch is not None:
        yield f"{switch['target'] or 'unload'}: {switch['state']} {switch['percent']}%"
