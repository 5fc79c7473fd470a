"""`manage.py switch_model NAME`: have a worker load another model, and watch it."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from models_admin import backend, catalog, names, presence, switching, waiting
from models_admin.models import Source, State, Switch, TabbyModel

BAR = 24  # characters
HANDOVER_SECONDS = 3.0
INTERRUPTED = 130

EPILOG = """\
examples:
  manage.py switch_model --list
  manage.py switch_model Llama-3.1-8B-Instruct
  manage.py switch_model Llama-3.1-8B-Instruct --drain 0 --no-wait
  manage.py switch_model --unload

exit status:
  0    the model is loaded (--unload: none is; --no-wait: the request was taken)
  1    it is not: refused, failed or cancelled
  130  interrupted; the switch goes on without being watched
"""


class Command(BaseCommand):
    help = "Switch the model that TabbyAPI runs. A worker does it; this command asks for it and shows the progress."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        raw = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, epilog=EPILOG, formatter_class=raw, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="", help="the model: its directory in TabbyAPI's model folder"
        )
        parser.add_argument("--list", action="store_true", help="list the models and end")
        parser.add_argument(
            "--unload", action="store_true", help="unload the model instead of loading another"
        )
        parser.add_argument("--no-wait", action="store_true", help="end as soon as the request is taken")
        parser.add_argument(
            "--drain",
            type=_seconds,
            metavar="SECONDS",
            help="how long replies in flight may take (default: DRAIN_TIMEOUT)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        log = logging.getLogger("models_admin")
        level = log.level
        log.setLevel(logging.WARNING)  # what it would say is shown anyway
        try:
            self._do(options)
        finally:
            log.setLevel(level)

    def _do(self, options: dict[str, Any]) -> None:
        chosen = [bool(options["name"]), options["list"], options["unload"]].count(True)
        if chosen != 1:
            raise CommandError("Give one of: a model's name, --list, --unload.", returncode=2)
        if options["list"]:
            self._list()
            return
        switch = self._request(options["name"], options["drain"])
        if options["no_wait"]:
            self._hand_over(switch)
        else:
            self._watch(switch)

    def _list(self) -> None:
        if catalog.stale() and (error := catalog.refresh().error):
            self.stderr.write(f"The list is as it was last seen. {error} {error.advice}")
        active = backend.row().model
        models = list(TabbyModel.objects.filter(vanished_at=None))
        width = max((len(each.name) for each in models), default=0)
        for each in models:
            size = f"{each.parameters_b:g}B" if each.parameters_b else ""
            need = names.vram_gb(each.parameters_b, each.bits)
            facts = " ".join(filter(None, [size, each.quantization, f"≈{need:g} GB" if need else ""]))
            self.stdout.write(f"{'✓' if each.name == active else ' '} {each.name:<{width}}  {facts}".rstrip())
        if not models:
            self.stderr.write("TabbyAPI lists no models.")

    def _request(self, name: str, drain: float | None) -> Switch:
        if name and not TabbyModel.objects.filter(name=name, vanished_at=None).exists():
            catalog.refresh()  # it may have been copied there just now
        try:
            return switching.request(name, source=Source.COMMAND, drain_seconds=drain)
        except switching.Refused as error:
            raise CommandError(str(error)) from None

    def _hand_over(self, switch: Switch) -> None:
        """Say that it was asked for, once a worker has it or none answers; this process must not end before that."""
        deadline = time.monotonic() + HANDOVER_SECONDS
        while switch.state == State.QUEUED and not switch.owner and time.monotonic() < deadline:
            time.sleep(0.05)
            switch.refresh_from_db()
        what = f"switch to {switch.target}" if switch.target else "unload"
        if switch.state == State.QUEUED and not presence.a_worker_is_alive():
            self.stdout.write(f"queued: no worker is answering; the {what} begins when one is started.")
        else:
            self.stdout.write(f"The {what} is under way (number {switch.pk}).")

    def _watch(self, switch: Switch) -> None:
        screen = Screen(self.stdout, self.stderr, rewrite=self.stdout.isatty())
        try:
            last = self._followed(switch, screen)
        except KeyboardInterrupt:
            screen.finish()
            last = self._interrupted(switch, screen)
        if last["state"] != State.SUCCEEDED:  # the error itself has been shown
            now = f"{last['result']} is loaded." if last["result"] else "No model is loaded."
            raise CommandError(f"{last['advice']} {now}".strip())

    def _followed(self, switch: Switch, screen: Screen) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for told in waiting.follow(switch.pk):
            screen.show(told)
        screen.finish()
        return told

    def _interrupted(self, switch: Switch, screen: Screen) -> dict[str, Any]:
        """After Ctrl-C: leave it running, which ends the command, or cancel it and see it end."""
        try:
            cancel = sys.stdin.isatty() and input("Cancel the switch? [y/N] ").strip().lower().startswith("y")
            if cancel:
                switching.cancel(switch, user=None)
                return self._followed(switch, screen)
        except switching.Refused as error:
            self.stderr.write(str(error))
            return self._followed(switch, screen)
        except (KeyboardInterrupt, EOFError):
            pass
        raise CommandError(f"Left running: the switch goes on (number {switch.pk}).", returncode=INTERRUPTED)


class Screen:
    """Shows a switch: on a terminal the line at hand is rewritten, elsewhere each line is written once.

    Errors go to `err`.
    """

    def __init__(self, out: Any, err: Any, *, rewrite: bool) -> None:
        self.out = out
        self.err = err
        self.rewrite = rewrite
        self.written: set[str] = set()
        self.open = False  # whether the cursor stands behind an unfinished line

    def show(self, told: dict[str, Any]) -> None:
        """Show the state of a switch, shaped as narration.told() says."""
        for text, state in _lines(told):
            settled = state in ("done", "failed")
            if settled and text not in self.written:
                self._clear()
                (self.err if text.startswith("✗") else self.out).write(text)
                self.written.add(text)
            elif not settled and self.rewrite:
                self._clear()
                self.out.write(f"{text}{_bar(told)}", ending="")
                self.out.flush()
                self.open = True
            elif not settled and (kind := re.sub(r"\d+", "#", text)) not in self.written:
                words = re.sub(r" \d+%$", "", text)
                self.out.write(words)
                self.written |= {kind, words}

    def finish(self) -> None:
        """End a line that was begun."""
        if self.open:
            self.out.write("")
            self.open = False

    def _clear(self) -> None:
        if self.open:
            self.out.write("\r\033[K", ending="")
            self.open = False


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for line in told["lines"]:
        text = "queued: no worker is answering" if "no worker" in line["text"] else line["text"]
        yield text, line["state"]


def _bar(told: dict[str, Any]) -> str:
    if told["state"] not in (State.LOADING, State.ROLLING_BACK):
        return ""
    filled = round(BAR * told["percent"] / 100)
    left = f" about {told['eta_seconds']} s left" if told["eta_seconds"] else ""
    return f" [{'█' * filled}{'·' * (BAR - filled)}]{left}"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("seconds from 0 to 3600")
    return seconds
