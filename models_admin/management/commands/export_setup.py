"""`manage.py export_setup`: writes what administrators have set up, as one JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.ops import command
from models_admin.setup import exporting


class Command(command.Command):
    help = (
        "Write what is noted about models, their load options, aliases, rules, checks and groups as JSON. It holds no "
        "secret and nobody's data; import_setup brings it in."
    )
    epilog = """\
examples:
  manage.py export_setup > setup.json
  manage.py export_setup --output backup/setup.json

exit status:
  0    it is written
  1    the file cannot be written
  2    the command was not understood
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="write it there instead of showing it")

    def act(self, options: dict[str, Any]) -> None:
        document = exporting.written()
        if options["output"] is None:
            self.stdout.write(document, ending="")
            return
        try:
            Path(options["output"]).write_text(document, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from None
