"""`manage.py import_setup`: brings in what export_setup has written, or lists what that would change."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.ops import command
from models_admin.setup import importing
from models_admin.setup.document import LARGEST, SetupRefused, read


class Command(command.Command):
    help = (
        "Bring in a document of export_setup, whole or not at all. Nothing is deleted, and what the document does not name "
        "stays as it is; what it says of models that TabbyAPI does not have is kept for when they come."
    )
    epilog = """\
examples:
  manage.py import_setup setup.json --dry-run
  manage.py import_setup setup.json
  ssh old manage.py export_setup | manage.py import_setup - --json

exit status:
  0    it is brought in; with --dry-run: it could be
  1    it is not: the errors say where in the document, and nothing has changed
  2    the command was not understood
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the document; - for standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="change nothing, and list what would change"
        )
        parser.add_argument(
            "--json", action="store_true", help="as one JSON object: the changes, or the errors"
        )

    def act(self, options: dict[str, Any]) -> None:
        try:
            made = importing.bring_in(read(_raw(options["file"])), None, dry_run=options["dry_run"])
        except SetupRefused as refusal:
            if options["json"]:
                self.stdout.write(json.dumps({"errors": refusal.faults}, indent=2))
                raise SystemExit(1) from None
            raise CommandError(str(refusal)) from None
        if options["json"]:
            changes = [asdict(each) for each in made]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "changes": changes}, indent=2))
            return
        for each in made:
            self.stdout.write(each.words)
        verb = "would change" if options["dry_run"] else "changed"
        self.stderr.write(f"{len(made)} {verb}." if made else "Nothing to change.")


def _raw(name: str) -> bytes:
    """Return the document's bytes, one more than LARGEST at most. Raises CommandError."""
    if name == "-":
        return sys.stdin.buffer.read(LARGEST + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
