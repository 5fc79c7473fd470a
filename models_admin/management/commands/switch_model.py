"""`manage.py switch_model NAME`: has a worker load another model, and watches it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.ops import command
from models_admin.servers import known
from models_admin.switching import transitions


class Command(command.ChangingCommand):
    help = "Switch the model that TabbyAPI runs. A worker does it; this command asks for it and shows the progress."
    epilog = f"""\
examples:
  manage.py switch_model --list
  manage.py switch_model Llama-3.1-8B-Instruct
  manage.py switch_model Llama-3.1-8B-Instruct --drain 0 --no-wait
  manage.py switch_model Llama-3.1-8B-Instruct --options max_seq_len=8192 cache_mode=Q8
  manage.py switch_model Llama-3.1-8B-Instruct --options '{{"gpu_split": [20, 22]}}' --json
  manage.py switch_model Llama-3.1-8B-Instruct --force
  manage.py switch_model Llama-3.1-8B-Instruct --try
  manage.py switch_model --watch
  manage.py switch_model --unload

{command.STATUS}  {command.NOT_ALL_HELD}    --try: it is done, and not all checks held
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="", help="the model: its directory in TabbyAPI's model folder"
        )
        parser.add_argument("--list", action="store_true", help="list the models and end")
        parser.add_argument(
            "--unload", action="store_true", help="unload the model instead of loading another"
        )
        parser.add_argument("--watch", action="store_true", help="watch the switch that is under way")
        parser.add_argument(
            "--options",
            nargs="+",
            default=[],
            metavar="NAME=VALUE",
            help="load options for this once, as NAME=VALUE or one JSON object",
        )
        parser.add_argument(
            "--force", action="store_true", help="load it although its files show that TabbyAPI cannot"
        )
        parser.add_argument(
            "--no-checks", action="store_true", help="have it serve without the checks before serving"
        )
        parser.add_argument(
            "--try",
            action="store_true",
            dest="try_out",
            help="load it, run all of its checks, and load again what was loaded before",
        )
        super().add_arguments(parser)

    def act(self, options: dict[str, Any]) -> None:
        chosen = [bool(options["name"]), options["list"], options["unload"], options["watch"]].count(True)
        if chosen != 1:
            raise CommandError("Give one of: a model's name, --list, --watch, --unload.", returncode=2)
        if options["options"] and not options["name"]:
            raise CommandError("--options are for loading a model: name it.", returncode=2)
        if options["try_out"] and (not options["name"] or options["no_checks"]):
            raise CommandError("--try is for a model: name it, and leave out --no-checks.", returncode=2)
        if options["list"]:
            command.list_models(self, as_json=options["json"])
        elif options["watch"]:
            self._watch_running(options)
        else:
            self.change(options["name"], options, _load_options(options["options"]))

    def _watch_running(self, options: dict[str, Any]) -> None:
        under_way = filter(None, map(transitions.active, known.all_servers()))
        if (switch := next(under_way, None)) is None:
            self.stderr.write("No switch is under way.")
        else:
            self.watch(switch, options)


def _load_options(words: list[str]) -> dict[str, Any]:
    """`['{"vision": true}']` or `["vision=true", "cache_mode=Q8"]` → the options, unchecked. Raises CommandError."""
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.partition("=")
        if word.lstrip().startswith("{"):
            found |= _json(word)
        elif given:
            found[name] = _value(value)
        else:
            raise CommandError(
                f"--options takes NAME=VALUE or a JSON object, not {word[:60]!r}.", returncode=2
            )
    return found


def _json(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--options is no JSON: {error}.", returncode=2) from None
    return found


def _value(text: str) -> Any:
    """Return the value of `text` as JSON, or the text itself where it is none (`Q8`)."""
    try:
        return json.loads(text)
    except ValueError:
        return text
