"""Keeps children alive with Supervisor, in this process, and tells what happens to them.

Supervisor starts, restarts and stops; this module feeds it a configuration, prints what the children print
behind their names, and words its events. Nothing is hidden: each crash of a crash loop is reported.
"""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import select
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions, decode_wait_status
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from gantry_site.children import Child
from models_admin.visible import visible

# A child that lives shorter counts as crashed at its start: the pause before the next attempt grows.
START_SECONDS = 5
LONGEST_PAUSE = 60.0
# How soon a signal or an exit is noticed, at the latest.
POLL_SECONDS = 0.2
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, from Linux's prctl.h
# What a child writes without a line's end is printed as a line when it is longer than this, in bytes.
LONGEST_LINE = 65536
# How long a line waits for whoever reads the log slowly; once one was lost, the next ones do not.
READER_SECONDS = 1.0
NOBODY_READS = (errno.EPIPE, errno.EIO)
COLORS = (36, 33, 32, 35, 34, 96, 93, 92)


class Log:
    """Prints the children's output, whole lines, each behind the name of its child."""

    def __init__(self, stream: TextIO, names: Sequence[str], *, as_json: bool = False) -> None:
        self.stream = stream
        self.as_json = as_json
        self.names = list(names)
        self.width = max(len(name) for name in [*names, "gantry"])
        self.colored = stream.isatty() and "NO_COLOR" not in os.environ
        self.partial: dict[str, bytes] = {}
        self.lost = 0  # lines that a full disk did not take, or a reader who does not read
        self.why = ""
        self.torn = False  # whether the last thing written is the beginning of a lost line
        try:
            self.stream.flush()
            self.raw: io.FileIO | None = io.FileIO(self.stream.fileno(), "w", closefd=False)
        except OSError:  # a stream in memory
            self.raw = None
        self.unread = False  # nobody reads any more: the terminal is gone, or the pipe is closed

    def feed(self, name: str, data: bytes) -> None:
        """Take what `name` has written; print the lines that are complete, keep the rest for later."""
        *lines, rest = (self.partial.pop(name, b"") + data).split(b"\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        if rest:
            self.partial[name] = rest
        for line in lines:
            self.say(line.decode(errors="replace").rstrip("\r"), name)

    def end(self, name: str) -> None:
        """Print what `name` left without a line's end."""
        if name in self.partial:
            self.feed(name, b"\n")

    def say(self, text: str, name: str = "gantry") -> None:
        """Print `text` behind `name`."""
        line = f"{_as_event(text, name) if self.as_json else self._as_line(text, name)}\n"
        if self.lost:
            note = f"{self.lost} lines could not be written, as {self.why}"
            line = f"{_as_event(note, 'gantry') if self.as_json else self._as_line(note, 'gantry')}\n{line}"
        try:
            self._write(f"\n{line}" if self.torn else line)
            self.lost = 0
        except OSError as error:
            if error.errno in NOBODY_READS:
                self.unread = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            else:
                self.lost += 1
                slow = isinstance(error, BlockingIOError)
                self.why = "they were not read in time" if slow else "the disk was full"

    def _write(self, line: str) -> None:
        """Write past the stream's buffer, which would keep what a full disk does not take."""
        if self.raw is None:
            self.stream.write(line)
            return
        data = line.encode(errors="replace")
        ends = time.monotonic() + (0 if self.lost else READER_SECONDS)
        while data:
            taken = self.raw.write(data)
            if taken:
                data = data[taken:]
                self.torn = bool(data)
            elif not select.select([], [self.raw], [], max(0, ends - time.monotonic()))[1]:
                raise BlockingIOError(errno.EAGAIN, "nobody reads the log")

    def _as_line(self, text: str, name: str) -> str:
        prefix = f"{name:<{self.width}} |"
        if self.colored:
            color = COLORS[self.names.index(name) % len(COLORS)] if name in self.names else 1
            prefix = f"\033[{color}m{prefix}\033[0m"
        return f"{prefix} {visible(text)}"


def _as_event(text: str, name: str) -> str:
    """One JSON object: what a child wrote as one gets its name; a line of another program becomes one."""
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "level": "INFO", "logger": name, "message": text}
    return json.dumps({**event, "process": name}, ensure_ascii=False)


def supervise(
    listed: Sequence[Child], *, folder: Path, log: Log, each_turn: Callable[[], None] = lambda: None
) -> None:
    """Run the children until SIGINT, SIGTERM or SIGHUP, or until nobody reads the log; end them all, and return.

    folder: gets the configuration and, while it runs, `children.json`: {name: pid}.
    each_turn: called a few times a second.
    """
    path = folder / "supervisord.conf"
    path.write_text(configuration(listed))
    options = _Options()
    options.realize(["-c", str(path)])
    options.first, options.test = True, False
    supervisor = _Supervisor(options, folder / "children.json", log, each_turn)
    try:
        supervisor.main()
    except ExitNow:
        pass
    finally:
        options.close_logger()
        supervisor.table.unlink(missing_ok=True)


def configuration(listed: Sequence[Child]) -> str:
    """Return Supervisor's configuration for these children."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "umask=077",
        "logfile=/dev/null",  # Log says what there is to say, and no disk can be too full for it
        "logfile_maxbytes=0",
        "pidfile=%(here)s/supervisord.pid",  # "here" is where the configuration is
        "childlogdir=%(here)s",
    ]
    for child in listed:
        lines += [
            f"[program:{child.name}]",
            f"command={_command(child.argv)}",
            "autorestart=true",
            f"startsecs={START_SECONDS}",
            "startretries=1000000000",
            "stopasgroup=true",
            "killasgroup=true",
            f"stopwaitsecs={child.stop_seconds}",
            "redirect_stderr=true",
            "stdout_logfile=NONE",
            "stdout_events_enabled=true",
        ]
    for priority, group in enumerate(("services", "app"), start=1):
        names = [child.name for child in listed if child.group == group]
        if names:
            lines += [f"[group:{group}]", f"programs={','.join(names)}", f"priority={priority}"]
    return "\n".join(lines) + "\n"


def _command(argv: Sequence[str]) -> str:
    """Quote a command as the shell does, and for an ini file, where %, " ;" and " #" mean something."""
    return shlex.join(argv).replace("%", "%%").replace(" ;", " '';").replace(" #", " ''#")


class _Options(ServerOptions):  # type: ignore[misc]
    """Supervisor's options; also its door to the system's calls, three of which are widened here."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[int, int] = {}
        self.prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
        poll = self.poller.poll
        self.poller.poll = lambda timeout: poll(min(timeout, POLL_SECONDS))

    def setpgrp(self) -> None:
        """In a child, before it runs its program: have it killed when this process is killed."""
        super().setpgrp()
        if self.prctl is not None:
            self.prctl(SET_DEATH_SIGNAL, int(signal.SIGKILL))

    def waitpid(self) -> tuple[int | None, int | None]:
        pid, status = super().waitpid()
        if pid:
            self.statuses[pid] = status
        return pid, status


class _Supervisor(Supervisor):  # type: ignore[misc]
    """Supervisor's loop, with a listener for its events."""

    def __init__(self, options: _Options, table: Path, log: Log, each_turn: Callable[[], None]) -> None:
        super().__init__(options)
        self.table = table
        self.log = log
        self.each_turn = each_turn
        self.known: dict[str, int] | None = None
        self.written = True

    def runforever(self) -> None:
        # Supervisor forgets all listeners when it starts to run: this is the first moment after that.
        events.subscribe(events.ProcessLogEvent, self._print)
        events.subscribe(events.ProcessStateEvent, self._report)
        events.subscribe(events.SupervisorStoppingEvent, lambda event: self.log.say("stopping everything"))
        super().runforever()

    def handle_signal(self) -> None:
        """Once a turn: what a signal asks for, and what has changed."""
        super().handle_signal()
        if self.log.unread:
            self.options.mood = SupervisorStates.SHUTDOWN
        processes = [
            process for group in self.process_groups.values() for process in group.processes.values()
        ]
        pids = {process.config.name: process.pid for process in processes if process.pid}
        if pids != self.known:
            self._write(pids)
        self.each_turn()

    def _write(self, pids: dict[str, int]) -> None:
        """Write the table of children; where that fails, as on a full disk, it is tried again at the next turn."""
        draft = self.table.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(pids))
            draft.replace(self.table)
        except OSError as error:
            if self.written:
                self.log.say(f"{self.table} cannot be written ({error.strerror}): trying again")
            self.written = False
        else:
            self.known, self.written = pids, True

    def _print(self, event: Any) -> None:
        self.log.feed(event.process.config.name, event.data)

    def _report(self, event: Any) -> None:
        process = event.process
        name = process.config.name
        match event:
            case events.ProcessStateStartingEvent() if not process.laststop:
                self.log.say(f"starting {name}")
            case events.ProcessStateExitedEvent():
                self.log.end(name)
                self.log.say(f"{name} ended ({self._ending(process)}): starting it again")
            case events.ProcessStateBackoffEvent():
                self.log.end(name)
                pause = min(process.backoff, LONGEST_PAUSE)
                process.delay = time.time() + pause
                self.log.say(f"{name} ended ({self._ending(process)}): {again(pause, process.backoff)}")
            case events.ProcessStateStoppedEvent():
                self.log.end(name)
            case _:
                pass

    def _ending(self, process: Any) -> str:
        """How a process ended: `exit status 1`, `terminated by SIGKILL`, or why it could not be started."""
        status = self.options.statuses.pop(process.pid, None)
        if status is None:
            return str(process.spawnerr or "for an unknown reason")
        return str(decode_wait_status(status)[1])


def again(pause: float, times: int) -> str:
    """Word what follows a crash right after a start; times: how many of these there were in a row."""
    if times == 1:
        return f"starting it again in {pause:.0f} s"
    return f"starting it again in {pause:.0f} s ({times} times in a row; its last lines say why)"
