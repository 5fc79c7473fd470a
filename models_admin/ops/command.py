"""What management commands share: asking for a switch, watching it on a terminal or in a pipe, listing models."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connection

from models_admin import page_schema
from models_admin.automation import upkeep
from models_admin.models import Source, State, Switch, TabbyModel, Verdict
from models_admin.ops.command_screen import Lines, Screen
from models_admin.presentation import waiting
from models_admin.servers import catalog, known, names, presence, team, worker_heartbeats
from models_admin.switching import rollout, runner, transitions, trying
from models_admin.visible import visible

HANDOVER_SECONDS = 3.0
TIMED_OUT = 124  # as timeout(1) has it
INTERRUPTED = 130
NOT_ALL_HELD = 3

STATUS = f"""\
exit status:
  0    it is done (--no-wait: the request was taken)
  1    it is not: refused, failed or cancelled
  2    the command was not understood
  {TIMED_OUT}  --timeout was over; the switch goes on without being watched
  {INTERRUPTED}  interrupted; the switch goes on without being watched
"""


class VisibleOutput(OutputWrapper):
    """Output for people: control characters in names and messages are made visible, not sent to the terminal."""

    def write(  # type: ignore[override]  # as Django's own
        self, msg: str = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        super().write(visible(msg), style_func, ending)

    def control(self, codes: str) -> None:
        """Send Gantry's own control characters."""
        self.writelines([codes])  # which the stream itself does


class Command(BaseCommand):
    """A command with examples and exit status in its help, and without log lines between its own."""

    epilog = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        raw = argparse.RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, epilog=self.epilog, formatter_class=raw, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout, self.stderr = _visible_output(self.stdout), _visible_output(self.stderr)
        log = logging.getLogger("models_admin")
        level = log.level
        log.setLevel(logging.ERROR)  # what it would say is shown anyway
        try:
            self.act(options)
        except BrokenPipeError:  # the reader of a pipe has enough
            sys.stderr.close()
            raise SystemExit(0) from None
        finally:
            log.setLevel(level)

    def act(self, options: dict[str, Any]) -> None:
        """Run the command; raises CommandError. `options` are the parsed arguments."""
        raise NotImplementedError


def _visible_output(out: OutputWrapper) -> VisibleOutput:
    shown = VisibleOutput(vars(out)["_out"])
    shown.style_func = out.style_func
    return shown


class ChangingCommand(Command):
    """A command that asks for a switch, and watches it."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-wait", action="store_true", help="end as soon as the request is taken")
        parser.add_argument(
            "--drain",
            type=seconds,
            metavar="SECONDS",
            help="how long replies in flight may take (default: DRAIN_TIMEOUT)",
        )
        parser.add_argument(
            "--timeout",
            type=seconds,
            metavar="SECONDS",
            help="how long to watch; what is under way goes on after that",
        )
        parser.add_argument("--json", action="store_true", help="a line of JSON for each change of its state")
        parser.add_argument(
            "--server",
            action="append",
            default=[],
            metavar="NAME",
            help="of several servers, one to change; may be given more than once (default: all, one after the other)",
        )
        parser.add_argument(
            "--direct", action="store_true", help="do it in this process, for when no worker can be started"
        )

    def change(
        self, target: str, options: dict[str, Any], load_options: Mapping[str, Any] | None = None
    ) -> None:
        """Have `target` loaded ('' = unload), and watch it as far as `options` say. Raises CommandError."""
        if options["direct"] and worker_heartbeats.a_worker_is_alive():
            raise CommandError("A worker is alive, and will do it: leave out --direct.", returncode=2)
        try:
            for server in rollout.chosen(options["server"], target) if target else ():
                if target not in presence.on(server):
                    upkeep.refresh(server)  # it may have been copied there just now
            request_on = trying.request_on if options.get("try_out") else rollout.request_on
            switch = request_on(
                options["server"],
                target,
                source=Source.COMMAND,
                drain_seconds=options["drain"],
                options=load_options,
                force=options.get("force", False),
                skip_checks=options.get("no_checks", False),
            )
        except transitions.SwitchRefused as error:
            raise CommandError(str(error)) from None
        if options["direct"]:
            threading.Thread(target=_carry_out, args=(switch,), name="direct").start()
        if options["no_wait"]:
            self._hand_over(switch, as_json=options["json"])
        else:
            self.watch(switch, options)

    def watch(self, switch: Switch, options: dict[str, Any]) -> None:
        """Show a switch until it has ended. Raises CommandError where it did not succeed."""
        screen: Screen | Lines = (
            Lines(self.stdout)
            if options["json"]
            else Screen(self.stdout, self.stderr, rewrite=self.stdout.isatty())
        )
        try:
            last = self._follow(switch, screen, options["timeout"])
        except KeyboardInterrupt:
            screen.finish()
            last = self._interrupted(switch, screen)
        if last["state"] != State.SUCCEEDED:  # the error itself has been shown
            raise CommandError(f"{last.get('advice', '')} {last.get('standing', last['error'])}".strip())
        tried: Any = last.get("tried", ())
        if any(each["verdict"] != Verdict.PASSED for each in tried):
            raise SystemExit(NOT_ALL_HELD)

    def _hand_over(self, switch: Switch, *, as_json: bool) -> None:
        """Wait until a worker has claimed the switch, HANDOVER_SECONDS at most; then write that it was asked for."""
        deadline = time.monotonic() + HANDOVER_SECONDS
        while switch.state == State.QUEUED and not switch.owner and time.monotonic() < deadline:
            time.sleep(0.05)
            switch.refresh_from_db()
        if as_json:
            Lines(self.stdout).show(_described(switch)())
            return
        what = f"switch to {switch.target}" if switch.target else "unload"
        if switch.state == State.QUEUED and not worker_heartbeats.a_worker_is_alive():
            self.stdout.write(f"queued: no worker is answering; the {what} begins when one is started.")
        else:
            self.stdout.write(f"The {what} is under way (number {switch.pk}).")

    def _follow(
        self, switch: Switch, screen: Screen | Lines, patience: float | None = None
    ) -> page_schema.Change:
        for state in waiting.follow(_described(switch), patience):  # at least once
            screen.show(state)
        screen.finish()
        if not state["finished_at"]:
            words = f"Not ended within {patience:g} s: it goes on (number {switch.pk})."
            raise CommandError(words, returncode=TIMED_OUT)
        return state

    def _interrupted(self, switch: Switch, screen: Screen | Lines) -> page_schema.Change:
        """After Ctrl-C, cancel the switch and return it when it has ended, or leave it running and end the command."""
        try:
            cancel = sys.stdin.isatty() and input("Cancel the switch? [y/N] ").strip().lower().startswith("y")
            if cancel and switch.rollout is not None:
                rollout.cancel(switch.rollout, user=None)
                return self._follow(switch, screen)
            if cancel:
                transitions.cancel(switch, user=None)
                return self._follow(switch, screen)
        except transitions.SwitchRefused as error:
            self.stderr.write(str(error))
            return self._follow(switch, screen)
        except (KeyboardInterrupt, EOFError):
            pass
        raise CommandError(f"Left running: the switch goes on (number {switch.pk}).", returncode=INTERRUPTED)


def _described(switch: Switch) -> Callable[[], page_schema.Change]:
    """Return what describes a switch, or the rollout that it is a part of."""
    if switch.rollout_id is not None:
        return partial(waiting.describe_rollout, switch.rollout_id)
    return partial(waiting.describe, switch.pk)


def _carry_out(switch: Switch) -> None:
    """Carry out a switch, and those that follow it where it is a part of a rollout."""
    try:
        runner.run(switch.pk)
        while following := rollout.at_hand(switch.rollout_id):
            runner.run(following)
    finally:
        connection.close()


def rows() -> list[dict[str, Any]]:
    """Return the catalog as the commands list it.

    Each row is {"id", "name", "active", "parameters_b", "quantization", "vram_gb", "tags"}; what is not known is null or "".
    """
    active = team.model()
    return [
        {
            "id": each.name,
            "name": str(each),
            "active": each.name == active,
            "parameters_b": each.parameters_b,
            "quantization": each.quantization,
            "vram_gb": names.vram_gb(each.parameters_b, each.bits),
            "tags": each.tags,
        }
        for each in TabbyModel.offered()
    ]


def table(models: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the models of rows() as lines for people; ✓ marks the loaded one."""
    width = max((len(each["id"]) for each in models), default=0)
    for each in models:
        size = f"{each['parameters_b']:g}B" if each["parameters_b"] else ""
        need = f"≈{each['vram_gb']:g} GB" if each["vram_gb"] else ""
        facts = " ".join(filter(None, [size, each["quantization"], need]))
        yield f"{'✓' if each['active'] else ' '} {each['id']:<{width}}  {facts}".rstrip()


def list_models(command: BaseCommand, *, as_json: bool = False) -> None:
    """Write the catalog, after a refresh where it is old."""
    if catalog.stale(known.default()) and (error := upkeep.refresh_all().error):
        command.stderr.write(f"The list is as it was last seen. {error} {error.advice}")
    models = rows()
    if as_json:
        command.stdout.write(json.dumps({"models": models}, indent=2))
        return
    for line in table(models):
        command.stdout.write(line)
    if not models:
        command.stderr.write("TabbyAPI lists no models.")


def seconds(text: str) -> float:
    """Return an argument in seconds; raises ArgumentTypeError unless it is from 0 to 3600."""
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("seconds from 0 to 3600")
    return seconds
