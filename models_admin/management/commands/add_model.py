"""`manage.py add_model REPOSITORY`: has TabbyAPI download a model from its hub, and watches it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from models_admin.adding import transitions, words
from models_admin.models import DownloadState, ModelDownload, Source
from models_admin.ops import command
from models_admin.servers import known, worker_heartbeats

POLL_SECONDS = 0.5


class Command(command.Command):
    help = "Have TabbyAPI download a model into its model folder. A worker does it; this command shows how far it is."
    epilog = f"""\
examples:
  manage.py add_model turboderp/Qwen3-8B-exl3 --revision 4.0bpw --folder Qwen3-8B-exl3-4.0bpw
  manage.py add_model team/private --folder Private-8B --token-file /run/secrets/hub-token
  manage.py add_model turboderp/Qwen3-8B-exl3 --include '*.json' '*.safetensors' --no-wait --json

exit status:
  0    it is there (--no-wait: the request was taken)
  1    it is not: refused, failed or cancelled
  2    the command was not understood
  {command.TIMED_OUT}  --timeout was over; the download goes on without being watched
  {command.INTERRUPTED}  interrupted; the download goes on without being watched
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("repository", help="on the hub, such as turboderp/Qwen3-8B-exl3")
        parser.add_argument(
            "--folder", default="", help="in TabbyAPI's model folder (default: the repository's own name)"
        )
        parser.add_argument("--revision", default="", help="a branch, tag or commit")
        parser.add_argument(
            "--include",
            nargs="+",
            default=[],
            metavar="PATTERN",
            help="only files such as *.safetensors (default: all)",
        )
        parser.add_argument(
            "--token-file", metavar="FILE", help="a file with a token for the hub; - is the standard input"
        )
        parser.add_argument("--no-wait", action="store_true", help="end as soon as the request is taken")
        parser.add_argument(
            "--timeout",
            type=command.seconds,
            metavar="SECONDS",
            help="how long to watch; the download goes on after that",
        )
        parser.add_argument("--json", action="store_true", help="a line of JSON for each change")

    def act(self, options: dict[str, Any]) -> None:
        wanted = transitions.Wanted(
            options["repository"], options["folder"], options["revision"], tuple(options["include"])
        )
        token = _token(options["token_file"])
        try:
            asked = transitions.request(known.default(), wanted, source=Source.COMMAND, token=token)
        except transitions.AddRefused as error:
            raise CommandError(str(error)) from None
        if not worker_heartbeats.a_worker_is_alive():
            self.stderr.write("No worker is answering: the download begins when one is started.")
        if options["no_wait"]:
            self._show(asked, as_json=options["json"])
            return
        try:
            self._watch(asked, options)
        except KeyboardInterrupt:
            words_ = f"Left running: the download goes on (number {asked.pk})."
            raise CommandError(words_, returncode=command.INTERRUPTED) from None

    def _watch(self, asked: ModelDownload, options: dict[str, Any]) -> None:
        """Show the download until it has ended. Raises CommandError where it is not done."""
        ends = time.monotonic() + (float("inf") if options["timeout"] is None else options["timeout"])
        shown = ""
        while True:
            asked.refresh_from_db()
            line = words.describe(asked)["line"]
            if line != shown and (asked.open or options["json"] or asked.state == DownloadState.DONE):
                self._show(asked, as_json=options["json"])
                shown = line
            if not asked.open:
                break
            if time.monotonic() > ends:
                what = f"Not ended within {options['timeout']:g} s: it goes on (number {asked.pk})."
                raise CommandError(what, returncode=command.TIMED_OUT)
            time.sleep(POLL_SECONDS)
        if asked.state != DownloadState.DONE:
            raise CommandError(f"{asked.error} {asked.advice}".strip())

    def _show(self, asked: ModelDownload, *, as_json: bool) -> None:
        told = words.describe(asked)
        self.stdout.write(json.dumps(told) if as_json else f"{told['folder']}: {told['line']}")


def _token(name: str | None) -> str:
    """Return the token in a file, without blanks around it; '' where there is none. Raises CommandError."""
    if not name:
        return ""
    try:
        token = (sys.stdin.read(600) if name == "-" else Path(name).read_text()[:600]).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.", returncode=2
        ) from None
    if not token:
        raise CommandError(f"{name} is empty.", returncode=2)
    return token
