"""`manage.py allow_sign_in`: lets somebody who gave too many wrong passwords try again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from gantry_site import sign_in
from gantry_site.addresses import parse_address
from models_admin.ops import command


class Command(command.Command):
    """Delete the counts of sign-ins that went wrong."""

    help = "Forgets sign-ins that went wrong, so that people need not wait: of a name, at an address, or all."
    epilog = """\
examples:
  manage.py allow_sign_in ann
  manage.py allow_sign_in --address 192.0.2.7
  manage.py allow_sign_in --all

exit status:
  0    it is forgotten, or nothing was counted
  2    the command was not understood
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", default="", help="of this user, wherever it was tried")
        parser.add_argument(
            "--address", default="", metavar="ADDRESS", help="at this address, as the log has it"
        )
        parser.add_argument("--all", action="store_true", help="of everybody")

    def act(self, options: dict[str, Any]) -> None:
        username, address = options["username"], options["address"]
        if options["all"] == bool(username or address):
            raise CommandError("Say whose: a user's name, --address, or --all.", returncode=2)
        if address and parse_address(address) is None:
            raise CommandError(f"{address} is no address.", returncode=2)
        count = sign_in.forget(username, address)
        self.stdout.write(
            f"{count} count{'' if count == 1 else 's'} forgotten." if count else "None was counted."
        )
