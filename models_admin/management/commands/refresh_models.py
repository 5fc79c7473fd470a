"""`manage.py refresh_models`: asks TabbyAPI for its models now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from models_admin.automation import upkeep
from models_admin.ops import command


class Command(command.Command):
    help = "Ask TabbyAPI for its models and for what is loaded, and write both down."
    epilog = """\
examples:
  manage.py refresh_models

exit status:
  0    the list is new
  1    TabbyAPI could not be asked; the list is as it was
"""

    def act(self, options: dict[str, Any]) -> None:
        found = upkeep.refresh_all()
        if found.error:
            raise CommandError(f"The list is as it was: {found.error} {found.error.advice}")
        for mark, names in (("+", found.added), ("-", found.vanished)):
            for name in names:
                self.stdout.write(f"{mark} {name}")
        self.stdout.write(f"{len(command.rows())} models.")
