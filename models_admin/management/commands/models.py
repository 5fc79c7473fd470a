"""`manage.py models`: lists TabbyAPI's models."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_admin.ops import command


class Command(command.Command):
    help = "List the models in TabbyAPI's model folder; ✓ marks the one that is loaded."
    epilog = """\
examples:
  manage.py models
  manage.py models --json | jq -r '.models[] | select(.active) | .id'

exit status:
  0    the models are listed, as TabbyAPI has them, or as it last had them where it cannot be asked now
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as one JSON object")

    def act(self, options: dict[str, Any]) -> None:
        command.list_models(self, as_json=options["json"])
