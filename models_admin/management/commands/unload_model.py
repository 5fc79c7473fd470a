"""`manage.py unload_model`: has a worker unload the model, and watches it."""

from __future__ import annotations

from typing import Any

from models_admin.ops import command


class Command(command.ChangingCommand):
    help = "Unload the model that TabbyAPI runs, which frees the GPU's memory. Messages wait until one is loaded again."
    epilog = f"""\
examples:
  manage.py unload_model
  manage.py unload_model --drain 0

{command.STATUS}"""

    def act(self, options: dict[str, Any]) -> None:
        self.change("", options)
