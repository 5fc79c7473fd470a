"""`manage.py doctor`: examines this installation, and writes what is wrong and what to do."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.core.management.base import CommandParser

from models_admin.ops import command, diagnostics

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}

EPILOG = """\
examples:
  manage.py doctor
  manage.py doctor --json

exit status:
  0    nothing is broken (there may be warnings)
  1    something is broken: see the lines with ✗
"""


class Command(command.Command):
    help = "Examine this installation: disk, database, Redis, clock, worker, TabbyAPI and its keys."
    requires_system_checks: list[str] = []
    epilog = EPILOG

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def act(self, options: dict[str, Any]) -> None:
        logging.disable(logging.WARNING)  # the findings say it anyway
        try:
            broken = self._as_json() if options["json"] else self._as_lines()
        finally:
            logging.disable(logging.NOTSET)
        if broken:
            raise SystemExit(1)

    def _as_json(self) -> bool:
        found = list(diagnostics.examine_all())
        broken = any(each.level == "error" for each in found)
        self.stdout.write(
            json.dumps({"ok": not broken, "findings": [each.as_dict() for each in found]}, indent=2)
        )
        return broken

    def _as_lines(self) -> bool:
        counts = dict.fromkeys(MARKS, 0)
        for each in diagnostics.examine_all():
            counts[each.level] += 1
            self.stdout.write(
                f"{MARKS[each.level]} {each.title}{f' ({each.detail})' if each.level == 'ok' and each.detail else ''}"
            )
            if each.level != "ok":
                for line in filter(None, (each.detail, each.hint)):
                    self.stdout.write(f"    {line}")
        broken = counts["error"]
        warned = f", {counts['warning']} to look at" if counts["warning"] else ""
        self.stdout.write(f"\n{broken} broken{warned}." if broken or warned else "\nAll is well.")
        return bool(broken)
